//! A driver as the rest of hulld sees it: the contract's methods, arguments by reference, one error type.
//!
//! A method waits (bounded) for a plugin that is starting, sends the request with the method's own deadline, and repeats
//! it when the process dies meanwhile: the contract's methods *ensure*, so repeating is safe (`delete_file`, which says whether there
//! was a file, is made so in [`instance`]). What cannot be had comes back
//! as an error that names plugin, method, object and what happened. Owns the table of deadlines (in [`storage`], [`network`],
//! [`instance`], [`image`]); the ladder itself is in `process/call.rs`.

mod argument;
mod declare;
mod image;
mod instance;
mod network;
mod reconcile;
mod storage;

pub use image::ImageHandle;
pub use instance::InstanceHandle;
pub use network::NetworkHandle;
pub use storage::StorageHandle;

pub(crate) use argument::{Argument, listed};
pub(crate) use declare::OPENING;
