//! Everything a Hull driver's author needs: the contracts, the types in them, and `serve`.
//!
//! A driver is one process of one kind (storage, network, instance, image) that implements one contract and is started
//! by Hull in the sandbox its manifest asks for. A whole plugin:
//!
//! ```ignore
//! hull_plugin::manifest!("../plugin.toml");
//!
//! fn main() -> std::process::ExitCode {
//!     hull_plugin::serve_storage(|host| MyDriver::new(host)) // MyDriver: Driver + StorageDriver
//! }
//! ```
//!
//! Rules that hold for every method of every contract (README.md says why):
//! * **Ensure, don't do.** Hull repeats any call after a crash; twice has the effect of once. Deleting what is gone is `Ok`.
//! * **Handles.** What you need to find an object again you return as a [`Handle`]; you get it back in [`Driver::recover`].
//! * **Descriptors, not paths.** Objects cross process walls as descriptors ([`Fd`]), never as host paths.
//! * **Errors** carry a stable [`Code`], the object, the cause chain and a hint; nobody parses their text.

mod charge;
mod error;
mod host;
mod id;
pub mod image;
pub mod instance;
mod lifecycle;
mod logging;
mod manifest;
mod methods;
pub mod network;
mod schema;
mod serve;
pub mod storage;
pub mod testing;

pub use charge::{AtRest, Charge, Share};
pub use error::{Code, DriverError, Retry};
pub use host::{Host, HostClient, HostHandle, Progress, ServiceSpec, ServiceState};
#[doc(hidden)] // the messages themselves; the other contracts' are in their modules
pub use host::{HostRequest, HostResponse};
pub use hull_wire::*;
pub use id::{DeviceName, Fingerprint, InstanceId, InvalidId, NetworkName, OperationId, PoolName, VolumeName};
pub use lifecycle::{
    CONTRACT, ContractRange, Description, Driver, Handle, Health, Hello, HostHello, Lifecycle, LifecycleClient,
    Recovered, StoredHandle,
};
#[doc(hidden)]
pub use lifecycle::{LifecycleRequest, LifecycleResponse};
pub use logging::init as init_logging;
pub use manifest::{
    HelperManifest, Limits, Manifest, Namespace, NetworkAccess, PluginKind, Sandbox, ServiceManifest, User,
};
pub use methods::{lifecycle_methods, methods, upcalls};
pub use schema::{ConfigKey, ConfigMap, ValueKind};
pub use serve::{
    DRIVER_FD, HELPER_FD, HOST_FD, LIFECYCLE_FD, caller_left, serve_image, serve_instance, serve_network, serve_storage,
};
pub use tarpc;
pub use tarpc::context::Context;

/// The README's code, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
