//! After a start of hulld: cut plans are taken up.

use super::create::CreatePool;
use super::custom::{CreateVolume, DeleteVolume, RenameVolume};
use super::delete::DeletePool;

crate::plans::of_noun!(CreatePool, DeletePool, CreateVolume, DeleteVolume, RenameVolume);
