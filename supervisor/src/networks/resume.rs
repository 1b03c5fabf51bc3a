//! After a start of hulld: cut plans are taken up.

use super::create::CreateNetwork;
use super::delete::DeleteNetwork;
use super::rename::RenameNetwork;

crate::plans::of_noun!(CreateNetwork, DeleteNetwork, RenameNetwork);
