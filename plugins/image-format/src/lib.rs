//! LXD's images, read from descriptors by code without privilege, and the file trees they become.
//!
//! For image sources ([`inspect`], [`fingerprint`]) and storage drivers ([`unpack`], [`copy_tree`], [`remove_tree`]).
//! Everything an image contains is hostile until shown otherwise: formats are parsed in safe code with bounds on memory,
//! trees are made beneath a directory descriptor (see `tree`), and [`Limits`] end archive bombs.

mod ahead;
mod archive;
mod compression;
mod error;
mod fingerprint;
mod inspect;
mod metadata;
mod meter;
mod squashfs;
mod tree;
mod unpack;

pub use error::Error;
pub use fingerprint::fingerprint;
pub use inspect::{Facts, InstanceKind, inspect};
pub use metadata::Metadata;
pub use meter::{Limits, Meter};
pub use tree::{TreeUsage, copy_tree, remove_tree, tree_usage};
pub use unpack::{Image, unpack};
