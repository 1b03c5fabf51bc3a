//! Networks: those Hull manages, and the host's interfaces as far as they are shown.
//!
//! Owns which networks there are and whether each is up; not how a driver makes one, nor the NICs in it (instances). A
//! network that cannot be brought up keeps its record, says why, and is tried again when it is changed. Start with
//! [`Networks`]; [`ensure_all`] brings everything up when the daemon starts.

mod api;
mod change;
mod create;
mod delete;
mod drivers;
mod ensure;
mod model;
mod registry;
mod rename;
mod store;
mod validate;

pub(crate) use api::routes;
pub(crate) use create::CreateNetwork;
pub(crate) use delete::DeleteNetwork;
pub(crate) use ensure::ensure_all;
pub(crate) use model::Network;
pub(crate) use registry::Networks;
pub(crate) use rename::RenameNetwork;
