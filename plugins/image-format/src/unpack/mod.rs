//! Unpacking images: from descriptors to a fresh directory.
//!
//! ```text
//! unified   metadata.yaml  templates/…  rootfs/…            one tarball
//! split     metadata.yaml  templates/…                      a tarball, and beside it
//!           …                                               the root file system: squashfs or tarball
//! ```
//! Owns what of an image is taken and where it goes: `rootfs` is a directory, `metadata.yaml` a plain file of at most
//! 1 MiB, `templates` holds directories and plain files, all else is left out; only `rootfs` keeps owners, special modes
//! and attributes. Device nodes are left out, too: usual images have some in `/dev`, where a container gets its own, and a
//! container without privilege is to have no others. Start with [`unpack`]. On failure the directory holds a part: its maker removes it.

mod image;
mod squashfs;
mod tarball;

pub(crate) use image::own_modes;
pub use image::{Image, unpack};
