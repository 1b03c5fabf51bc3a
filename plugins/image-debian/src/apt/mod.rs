//! Where packages come from: the machine's own apt configuration, read but never followed blindly.
//!
//! Owns the two formats of source lists ([`one_line`], [`deb822`]) and the choice of mirrors for a release
//! ([`mirror`]). Pure but for [`read`]; knows no release and starts no program.

mod deb822;
mod mirror;
mod one_line;
mod read;
mod source;
mod standing;

pub(crate) use mirror::{Mirror, mirrors};
pub(crate) use read::read;
pub(crate) use source::{Key, Source};
pub(crate) use standing::{DEBIAN_KEYRINGS, is_debians};
