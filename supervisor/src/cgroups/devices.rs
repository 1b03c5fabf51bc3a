//! Which device nodes a group's processes may use (v1 `devices`).

use super::Cgroup;
use super::hierarchy::CgroupError;
use super::limits::write;

/// A device's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Character,
    Block,
}

/// Whether a device may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Allow,
    Deny,
}

/// What every container gets: making any node, but using only terminals, the harmless memory devices, fuse and tun.
const DEFAULT: [&str; 13] = [
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",    // null
    "c 1:5 rwm",    // zero
    "c 1:7 rwm",    // full
    "c 1:8 rwm",    // random
    "c 1:9 rwm",    // urandom
    "c 5:0 rwm",    // tty
    "c 5:1 rwm",    // console
    "c 5:2 rwm",    // ptmx
    "c 136:* rwm",  // pts/*
    "c 10:229 rwm", // fuse
    "c 10:200 rwm", // net/tun
];

impl Cgroup {
    /// Denies all devices but those every container gets. Without v1's `devices` nothing is done: there the driver's
    /// `nodev` mounts are the wall.
    pub fn restrict_devices(&self) -> Result<(), CgroupError> {
        let Some(path) = self.v1("devices") else { return Ok(()) };
        write(path.join("devices.deny"), "a", true)?;
        DEFAULT.iter().try_for_each(|rule| write(path.join("devices.allow"), rule, true))
    }

    /// Allows or denies one device.
    pub fn device(&self, access: Access, kind: DeviceKind, major: u64, minor: u64) -> Result<(), CgroupError> {
        let Some(path) = self.v1("devices") else { return Ok(()) };
        let letter = match kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        let file = match access {
            Access::Allow => "devices.allow",
            Access::Deny => "devices.deny",
        };
        write(path.join(file), &format!("{letter} {major}:{minor} rwm"), true)
    }
}
