//! After a start of hulld: cut plans are taken up.

use super::delete::DeleteImage;
use super::import::ImportImage;
use super::unpack::UnpackImage;

crate::plans::of_noun!(ImportImage, UnpackImage, DeleteImage);
