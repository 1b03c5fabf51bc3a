//! Raw system calls behind safe functions: the only crate (with modules named `sys`) where `unsafe` is allowed.
//!
//! Numbers come in, `OwnedFd` and `Errno` go out; nothing here knows what a plugin, a pool or an instance is.
//! One module a kernel facility. Constants that libc lacks carry the kernel header they come from.
#![allow(unsafe_code)] // each block states its SAFETY reason (clippy::undocumented_unsafe_blocks)

pub mod attribute;
pub mod descriptor;
pub mod filesystem;
pub mod fork;
pub mod identity;
pub mod message;
pub mod mount;
pub mod netlink;
pub mod process;
pub mod reflink;
pub mod sandbox;
pub mod schedule;
pub mod spawn;
pub mod terminal;
