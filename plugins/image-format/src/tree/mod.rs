//! File trees by directory descriptor: making, copying, measuring, removing.
//!
//! Invariant: no path string with a name from an image or a guest in it is ever resolved by the kernel except by
//! `openat2` beneath a directory descriptor, without links, magic links or mount points; everything else names one
//! component in an open directory and follows nothing.

mod attributes;
mod copy;
mod make;
mod place;
mod remove;
mod usage;
mod write;

pub(crate) use attributes::Attributes;
pub(crate) use make::{
    Special, adopt_directory, create_file, finish_directory, finish_file, make_directory, make_link, make_special,
};
pub(crate) use place::{Parents, Place, component, joined, open_beneath};
pub(crate) use write::Writer;

pub use copy::copy_tree;
pub use remove::remove_tree;
pub use usage::{TreeUsage, tree_usage};
