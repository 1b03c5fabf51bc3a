//! An instance in words and numbers.

use crate::output::{day, iec, si, table};
use anyhow::Result;
use hull_api::{InstanceFull, InstanceState, InstanceStateMemory, InstanceStateNetwork};
use std::fmt::Write as _;

pub(super) fn described(instance: &InstanceFull) -> Result<String> {
    let mut text = String::new();
    let ephemeral = if instance.ephemeral { " (ephemeral)" } else { "" };
    writeln!(text, "Name: {}\nStatus: {}", instance.name, instance.status.to_uppercase())?;
    writeln!(text, "Type: {}{ephemeral}\nArchitecture: {}", instance.kind, instance.architecture)?;
    if !instance.location.is_empty() && instance.location != "none" {
        writeln!(text, "Location: {}", instance.location)?;
    }
    if let Some(state) = instance.state.as_ref().filter(|state| state.pid != 0) {
        writeln!(text, "PID: {}", state.pid)?;
    }
    for (title, moment) in [("Created", instance.created_at), ("Last Used", instance.last_used_at)] {
        if moment.is_set() {
            writeln!(text, "{title}: {}", day(moment))?;
        }
    }
    if let Some(state) = &instance.state {
        let resources = resources(state)?;
        if !resources.is_empty() {
            write!(text, "\nResources:\n{resources}")?;
        }
    }
    write!(text, "{}{}", snapshots(instance), backups(instance))?;
    Ok(text)
}

fn resources(state: &InstanceState) -> Result<String> {
    let mut text = String::new();
    if state.processes > 0 {
        writeln!(text, "  Processes: {}", state.processes)?;
    }
    let disks: Vec<_> = state.disk.iter().filter(|(_, disk)| disk.usage > 0).collect();
    if !disks.is_empty() {
        writeln!(text, "  Disk usage:")?;
    }
    for (name, disk) in disks {
        writeln!(text, "    {name}: {}", iec(disk.usage))?;
    }
    if state.cpu.usage > 0 {
        writeln!(text, "  CPU usage:\n    CPU usage (in seconds): {}", state.cpu.usage / 1_000_000_000)?;
    }
    text.push_str(&memory(&state.memory));
    if !state.network.is_empty() {
        writeln!(text, "  Network usage:")?;
    }
    for (name, network) in &state.network {
        writeln!(text, "    {name}:\n{}", described_network(network)?.trim_end_matches('\n'))?;
    }
    Ok(text)
}

fn memory(memory: &InstanceStateMemory) -> String {
    let lines = [
        ("Memory (current)", memory.usage),
        ("Memory (peak)", memory.usage_peak),
        ("Swap (current)", memory.swap_usage),
        ("Swap (peak)", memory.swap_usage_peak),
    ];
    let lines: String = lines
        .iter()
        .filter(|(_, bytes)| *bytes != 0)
        .map(|(title, bytes)| format!("    {title}: {}\n", iec(*bytes)))
        .collect();
    if lines.is_empty() { lines } else { format!("  Memory usage:\n{lines}") }
}

fn described_network(network: &InstanceStateNetwork) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "      Type: {}\n      State: {}", network.kind, network.state.to_uppercase())?;
    for (title, value) in [("Host interface", &network.host_name), ("MAC address", &network.hwaddr)] {
        if !value.is_empty() {
            writeln!(text, "      {title}: {value}")?;
        }
    }
    if network.mtu > 0 {
        writeln!(text, "      MTU: {}", network.mtu)?;
    }
    let counters = &network.counters;
    writeln!(
        text,
        "      Bytes received: {}\n      Bytes sent: {}",
        si(counters.bytes_received),
        si(counters.bytes_sent)
    )?;
    writeln!(
        text,
        "      Packets received: {}\n      Packets sent: {}",
        counters.packets_received, counters.packets_sent
    )?;
    writeln!(text, "      IP addresses:")?;
    for address in &network.addresses {
        let family = format!("{}:", address.family);
        writeln!(text, "        {family:<6} {}/{} ({})", address.address, address.netmask, address.scope)?;
    }
    Ok(text)
}

fn snapshots(instance: &InstanceFull) -> String {
    let row = |snapshot: &hull_api::InstanceSnapshot| {
        let name = snapshot.name.rsplit('/').next().unwrap_or_default().to_owned();
        vec![name, day(snapshot.created_at), day(snapshot.expires_at), crate::commands::yes_no(snapshot.stateful)]
    };
    let rows: Vec<Vec<String>> = instance.snapshots.iter().map(row).collect();
    titled("Snapshots", &["Name", "Taken at", "Expires at", "Stateful"], &rows)
}

fn backups(instance: &InstanceFull) -> String {
    let row = |backup: &hull_api::InstanceBackup| {
        let name = backup.name.rsplit('/').next().unwrap_or_default().to_owned();
        let (only, optimized) =
            (crate::commands::yes_no(backup.instance_only), crate::commands::yes_no(backup.optimized_storage));
        vec![name, day(backup.created_at), day(backup.expires_at), only, optimized]
    };
    let rows: Vec<Vec<String>> = instance.backups.iter().map(row).collect();
    titled("Backups", &["Name", "Taken at", "Expires at", "Instance Only", "Optimized Storage"], &rows)
}

fn titled(title: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{title}:\n{}", table(&crate::commands::header(header), rows, true))
}
