//! The squashfs 4.0 format, read by descriptor.
//!
//! Own code because what there is falls short: the crates lose extended attributes and hard links, and `unsquashfs` wants
//! paths, a /proc to reach a descriptor by, the right to run a program, and knows no limits. Owns the format only:
//! tables, inodes, directories, blocks. Nothing an image says is trusted: offsets, counts and sizes are checked, caches
//! are bounded. Start with [`SquashFs::open`]; making files of it is [`crate::unpack`]'s.

mod blocks;
mod inode;
mod superblock;
mod tables;

pub(crate) use blocks::{Content, Piece};
pub(crate) use inode::{DirectoryEntry, Inode, Node, Reference};
pub(crate) use tables::SquashFs;
