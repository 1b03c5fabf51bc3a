//! An instance's control group: made before it is prepared, removed when it is settled.

use hull_plugin::instance::IdMap;
use hull_plugin::{ConfigMap, InstanceId};

use super::limits::limits;
use super::model::Record;
use crate::api::ApiError;
use crate::cgroups::{CgroupError, CgroupLimits};
use crate::hull::Hull;

/// Makes the group, limited and given to the instance's root user; returns its path as drivers see it.
pub(super) fn make(hull: &Hull, record: &Record, config: &ConfigMap, map: &IdMap) -> Result<String, ApiError> {
    let root_user = map.users.first().map_or(0, |range| range.outside);
    let root_group = map.groups.first().map_or(0, |range| range.outside);
    let group = hull.cgroups.instance(record.name.as_str());
    let limits = limits(config);
    let made = || -> Result<(), CgroupError> {
        group.create()?;
        group.restrict_devices()?;
        if limits != CgroupLimits::default() {
            group.set_limits(&limits)?;
        }
        group.delegate(root_user, root_group)
    };
    tracing::debug!(instance = %record.name, "making the control group");
    made().map_err(|error| failed(record, "make", &error))?;
    Ok(group.relative().display().to_string())
}

/// The same path, for commands in the running instance.
pub(super) fn path(hull: &Hull, instance: &InstanceId) -> String {
    hull.cgroups.instance(instance.as_str()).relative().display().to_string()
}

pub(super) fn set_limits(hull: &Hull, record: &Record, config: &ConfigMap) -> Result<(), ApiError> {
    let set = hull.cgroups.instance(record.name.as_str()).set_limits(&limits(config));
    set.map_err(|error| failed(record, "limit", &error))
}

/// Commands that outlived the init are ended with the group.
pub(super) async fn remove(hull: &Hull, record: &Record) -> Result<(), ApiError> {
    tracing::debug!(instance = %record.name, "removing the control group");
    let group = hull.cgroups.instance(record.name.as_str());
    let emptied = group.kill_all(std::time::Duration::from_secs(2)).await;
    let removed = match emptied {
        Ok(()) => group.remove().await,
        Err(error) => Err(error),
    };
    removed.map_err(|error| failed(record, "remove", &error))
}

fn failed(record: &Record, verb: &str, error: &CgroupError) -> ApiError {
    ApiError::internal(format!(
        "cannot {verb} the cgroup of instance `{}`: {}",
        record.name,
        crate::plugins::chain(error)
    ))
}
