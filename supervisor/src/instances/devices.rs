//! Turning device entries into what drivers take: the root mount, disks, NICs.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use hull_plugin::instance::MountSpec;
use hull_plugin::network::{Attachment, NicSpec, NicTarget};
use hull_sys::mount::Depth;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use hull_plugin::{ConfigMap, DeviceName, MountFd, NetworkName, NetworkNamespaceFd, OperationId, UserNamespaceFd};

use super::expand;
use super::model::{Devices, Record};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::look;

/// How long the source of a disk may take to answer.
const SOURCE: Duration = Duration::from_secs(10);

/// The instance's root file system as a detached mount.
pub(super) async fn mount_root(hull: &Hull, record: &Record, operation: &OperationId) -> Result<MountFd, ApiError> {
    let pool = record.pool.as_ref();
    let pool = pool.ok_or_else(|| ApiError::bad_request(format!("instance `{}` has no root volume", record.name)))?;
    hull.storage.mount(hull, pool, &record.name.volume(), Some("rootfs"), operation).await
}

/// Makes the owners of a detached mount's files those of a user namespace.
pub(super) fn idmap(mount: &MountFd, user_namespace: &UserNamespaceFd) -> Result<(), ApiError> {
    hull_sys::mount::idmap(mount.as_fd(), user_namespace.as_fd()).map_err(|error| {
        ApiError::internal(format!(
            "cannot map file owners into the instance's user namespace: {error} (hint: the file system must support id-mapped mounts)"
        ))
    })
}

/// Whether a disk's files are to belong to the container's ids as they are numbered on the host.
pub(super) fn is_shifted(disk: &ConfigMap) -> bool {
    disk.get("shift").and_then(|value| super::validate::parse_boolean(value)) == Some(true)
}

/// A host path as a detached mount; `None` for the root disk and for optional paths that are not there. `shift`ed, its files
/// belong to the user namespace's ids as they are numbered on the host: root's to root.
pub(super) async fn disk_mount(
    name: &str,
    disk: &ConfigMap,
    user_namespace: Option<&UserNamespaceFd>,
) -> Result<Option<(MountSpec, MountFd)>, ApiError> {
    let (Some(source), Some(path)) = (disk.get("source"), disk.get("path")) else { return Ok(None) };
    let flag = |key: &str| disk.get(key).and_then(|value| super::validate::parse_boolean(value));
    let depth = if flag("recursive") == Some(true) { Depth::Recursive } else { Depth::This };
    let opened = look::at_within(SOURCE, Path::new(source), move |source| {
        hull_sys::mount::open_tree_clone(AT_FDCWD, source, depth)
    });
    let unusable = |why: &dyn std::fmt::Display| {
        ApiError::bad_request(format!("Failed to start device \"{name}\": cannot use source path \"{source}\": {why}"))
    };
    let mount = match opened.await {
        Ok(Ok(mount)) => mount,
        Ok(Err(Errno::ENOENT | Errno::ENOTDIR)) if flag("required") == Some(false) => return Ok(None),
        Ok(Err(error)) => return Err(unusable(&error)),
        Err(silent) => return Err(unusable(&silent)),
    };
    let path = if path.starts_with('/') { path.clone() } else { format!("/{path}") };
    let spec = MountSpec { path, read_only: flag("readonly") == Some(true) };
    let mount = MountFd::new(mount);
    if let Some(user_namespace) = user_namespace.filter(|_| is_shifted(disk)) {
        idmap(&mount, user_namespace).map_err(|error| error.context(format!("Failed to start device \"{name}\"")))?;
    }
    Ok(Some((spec, mount)))
}

/// Connects every NIC; one that fails takes none of the others with it, the plan's undo does.
pub(super) async fn attach_nics(
    hull: &Hull,
    record: &Record,
    devices: &Devices,
    namespace: &NetworkNamespaceFd,
    operation: &OperationId,
) -> Result<BTreeMap<String, Attachment>, ApiError> {
    let mut attached = BTreeMap::new();
    for (index, (name, nic)) in expand::of_kind(devices, "nic").into_iter().enumerate() {
        let attachment = attach_nic(hull, record, (name, nic, index), namespace, operation).await;
        let attachment = attachment.map_err(|error| error.context(format!("Failed to start device \"{name}\"")))?;
        attached.insert(name.clone(), attachment);
    }
    Ok(attached)
}

/// Connects one NIC; `index` is its place among the NICs, for a name inside when it has none.
pub(super) async fn attach_nic(
    hull: &Hull,
    record: &Record,
    (name, nic, index): (&str, &ConfigMap, usize),
    namespace: &NetworkNamespaceFd,
    operation: &OperationId,
) -> Result<Attachment, ApiError> {
    let driver = hull.networks.handle_for_nic(hull, nic).await?;
    let volatile = |key: &str| record.config.get(&format!("volatile.{name}.{key}")).cloned();
    let own = |key: &str| nic.get(key).filter(|value| !value.is_empty()).cloned();
    let spec = NicSpec {
        instance: record.name.id(),
        host_name: record.name.to_string(),
        device: DeviceName::new(name)?,
        network: nic.get("network").map(NetworkName::new).transpose()?,
        name: own("name").unwrap_or_else(|| format!("eth{index}")),
        hwaddr: own("hwaddr").or_else(|| volatile("hwaddr")).unwrap_or_default(),
        mtu: own("mtu").and_then(|text| text.parse().ok()),
        config: nic.clone(),
    };
    let target = NicTarget::Namespace(namespace.try_clone().map_err(|error| ApiError::internal(error.to_string()))?);
    Ok(driver.attach_nic(operation, &spec, &target).await?)
}
