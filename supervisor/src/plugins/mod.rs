//! The driver processes: found on disk, sandboxed, greeted, watched, restarted, replaced; and the handles through which the rest of
//! hulld calls them.
//!
//! Owns the plugins' processes and services; knows no driver by name (it asks `describe()`), and nothing of instances,
//! pools or networks beyond their names. Invariant: every plugin process is one that [`process`] started, in the sandbox
//! its manifest asks for. Start with [`Plugins`]; `sandbox/` builds the walls.

mod api;
mod discover;
mod handles;
mod permissions;
mod process;
mod registry;
mod replace;
pub(crate) mod sandbox;
mod services;
mod source;
mod statistics;
mod survey;
mod throttle;
mod upcalls;
mod versions;

pub use handles::{ImageHandle, InstanceHandle, NetworkHandle, StorageHandle};
pub use registry::{
    FailureKind, PluginFailure, PluginState, PluginSummary, Plugins, PluginsError, REST_AFTER, Settings,
};
pub use replace::{Grant, Restart};
pub use sandbox::stage_main as sandbox_stage;
pub use sandbox::{Outcome, Trial, Walls};
pub use source::{HandleSource, NoHandles, Notice};
pub use survey::{Examined, Observed, Room};
pub use upcalls::ProgressReport;

pub(crate) use api::{announce_failures, routes};
pub(crate) use discover::parse as manifest;
pub(crate) use registry::{Environment, chain, describe_status, plugin_name};
pub(crate) use sandbox::{instance_range, instance_range_in};
