//! The kernel's switches below `/proc/sys/net`, written only when they change.

use std::io;
use std::path::{Path, PathBuf};

use hull_plugin::DriverError;

/// A switch could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot set `{}` to {value}", path.display())]
pub(crate) struct SysctlError {
    path: PathBuf,
    value: String,
    source: io::Error,
}

/// Whether the host knows IPv6 at all.
pub(crate) fn ipv6_works() -> bool {
    Path::new(ROOT).join("ipv6").is_dir()
}

/// Sets `ipv4/ip_forward` and the like.
pub(crate) fn set(name: &str, value: &str) -> Result<(), SysctlError> {
    let path = Path::new(ROOT).join(name);
    let failed = |source| SysctlError { path: path.clone(), value: value.into(), source };
    if std::fs::read_to_string(&path).map_err(failed)?.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(failed)
}

/// What an interface does with IPv6. Nothing to do on a host without.
pub(crate) fn set_ipv6(interface: &str, key: &str, value: &str) -> Result<(), SysctlError> {
    if ipv6_works() { set(&format!("ipv6/conf/{interface}/{key}"), value) } else { Ok(()) }
}

/// Lets the host forward IPv6 without losing its own routes: a forwarding host stops listening to router
/// advertisements unless it is told twice.
pub(crate) fn forward_ipv6() -> Result<(), SysctlError> {
    let all = "ipv6/conf/all/forwarding";
    if read(all).as_deref() == Some("1") {
        return Ok(());
    }
    for entry in std::fs::read_dir(Path::new(ROOT).join("ipv6/conf")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = format!("ipv6/conf/{name}/accept_ra");
        if name != "all" && read(&key).as_deref() == Some("1") {
            set(&key, "2")?;
        }
    }
    set(all, "1")
}

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(ROOT).join(name)).ok().map(|text| text.trim().to_owned())
}

impl From<SysctlError> for DriverError {
    fn from(error: SysctlError) -> Self {
        let message = error.to_string();
        Self::system(&error.source, message)
    }
}

const ROOT: &str = "/proc/sys/net";
