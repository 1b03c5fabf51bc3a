//! Hull's part of the control group trees: one directory `hull-XXXXXXXX` a HULL_DIR in every hierarchy (v1, v2 or both).
//!
//! ```text
//! hull-1a2b3c4d/ ─┬─ plugins/storage-dir@default
//!                 ├─ services/network-bridge.dnsmasq-hullbr0
//!                 └─ instances/c1
//! ```
//! Owns making, limiting, delegating, emptying and removing groups; not who goes into them. A process is put there by the
//! sandbox stage or by an instance driver. Start with [`Cgroups::open`].

mod delegate;
mod devices;
mod empty;
mod freeze;
mod hierarchy;
mod limits;
mod tree;
mod usage;

pub use devices::{Access, DeviceKind};
pub use hierarchy::CgroupError;
pub use limits::CgroupLimits;
pub use tree::{Cgroup, Cgroups};
pub use usage::{CgroupUsage, CpuUsage, DiskUsage};
