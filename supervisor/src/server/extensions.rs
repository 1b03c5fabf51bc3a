//! The API extensions that clients may rely on: exactly those of LXD 5.0 that work here.

/// In LXD's order.
pub(super) const EXTENSIONS: &[&str] = &[
    "container_last_used_at",
    "etag",
    "patch",
    "directory_manipulation",
    "container_cpu_time",
    "network",
    "profile_usedby",
    "container_exec_signal_handling",
    "container_image_properties",
    "storage",
    "file_delete",
    "file_append",
    "image_create_aliases",
    "entity_description",
    "image_force_refresh",
    "file_symlinks",
    "console",
    "storage_api_volume_rename",
    "file_get_symlink",
    "network_leases",
    "operation_description",
    "event_lifecycle",
    "network_state",
    "container_protection_delete",
    "container_full",
    "event_location",
    "container_exec_user_group_cwd",
    "instances",
    "image_types",
    "api_filtering",
    "instance_nic_network",
    "firewall_driver",
    "api_os",
    "usedby_consistency",
    "storage_volume_state",
    "warnings",
    "server_supported_storage_drivers",
    "storage_volume_state_total",
    "instance_all_projects",
    "instance_get_full",
    "event_project",
    "resources",
    "kernel_features",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn none_is_named_twice() {
        assert_eq!(EXTENSIONS.iter().collect::<BTreeSet<_>>().len(), EXTENSIONS.len());
    }
}
