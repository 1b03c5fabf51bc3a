//! The API extensions that clients may rely on: exactly those of LXD 5.0 that work here, and Hull's own.

/// In LXD's order.
pub(super) const EXTENSIONS: &[&str] = &[
    "container_host_shutdown_timeout",
    "container_stop_priority",
    "container_last_used_at",
    "etag",
    "patch",
    "directory_manipulation",
    "container_cpu_time",
    "network",
    "profile_usedby",
    "container_exec_recording",
    "container_exec_signal_handling",
    "container_image_properties",
    "network_firewall_filtering",
    "network_routes",
    "storage",
    "file_delete",
    "file_append",
    "network_dhcp_expiry",
    "image_create_aliases",
    "entity_description",
    "image_force_refresh",
    "file_symlinks",
    "storage_volatile_initial_source",
    "resources",
    "storage_api_volume_rename",
    "console",
    "network_dhcp_gateway",
    "file_get_symlink",
    "network_leases",
    "operation_description",
    "event_lifecycle",
    "network_state",
    "container_protection_delete",
    "network_hwaddr",
    "network_nat_order",
    "container_disk_shift",
    "container_full",
    "kernel_features",
    "id_map_current",
    "event_location",
    "network_nat_address",
    "container_nic_routes",
    "resources_v2",
    "container_exec_user_group_cwd",
    "instances",
    "image_types",
    "api_filtering",
    "instance_nic_network",
    "firewall_driver",
    "api_os",
    "network_dns_search",
    "usedby_consistency",
    "instance_bulk_state_change",
    "storage_volume_state",
    "warnings",
    "server_supported_storage_drivers",
    "metrics",
    "instance_all_projects",
    "instance_get_full",
    "event_project",
    "storage_volume_state_total",
    // Hull's own.
    "plugins",
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
