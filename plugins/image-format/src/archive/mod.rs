//! Tar archives, read entry by entry: ustar, GNU and PAX with their long names, attributes and sparse files.
//!
//! Owns the format only; what becomes of an entry is [`crate::unpack`]'s. Memory is bounded whatever the archive says:
//! extended headers, names and sparse maps have caps. Start with [`Archive::next`].

mod acl;
mod header;
mod pax;
mod read;
mod sparse;

pub(crate) use header::{Kind, is_header};
pub(crate) use read::{Archive, Entry};
