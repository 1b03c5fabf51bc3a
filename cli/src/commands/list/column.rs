//! What is told about an instance.

use crate::output::{day, iec};
use anyhow::{Result, bail};
use hull_api::{InstanceFull, InstanceState};

#[derive(Debug, PartialEq)]
pub(super) enum Column {
    /// One of the letters.
    Letter(char),
    /// A configuration key, or a key of a device.
    Key { device: Option<String>, key: String, title: String, width: Option<usize> },
}

/// Columns from words such as `ns4,user.a:HEAD:10,devices:eth0.parent`.
pub(super) fn parse(words: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for word in words.split(',') {
        if word.is_empty() {
            bail!("Empty column entry (redundant, leading or trailing command) in '{words}'");
        }
        if word.contains('.') || word.starts_with("devices:") {
            columns.push(key_column(word)?);
            continue;
        }
        for letter in word.chars() {
            match title(letter) {
                Some(_) => columns.push(Column::Letter(letter)),
                None if letter == 'L' => bail!("Can't specify column L when not clustered"),
                None => bail!("Unknown column shorthand char '{letter}' in '{word}'"),
            }
        }
    }
    Ok(columns)
}

fn key_column(word: &str) -> Result<Column> {
    let (device, rest) = match word.strip_prefix("devices:") {
        Some(rest) => match rest.split_once('.') {
            Some((device, rest)) => (Some(device.to_owned()), rest),
            None => bail!("Invalid device key '{word}', expected devices:NAME.KEY"),
        },
        None => (None, word.strip_prefix("config:").unwrap_or(word)),
    };
    let mut parts = rest.splitn(3, ':');
    let key = parts.next().unwrap_or_default().to_owned();
    let usual = match &device {
        Some(device) => format!("{device} {key}"),
        None => key.replace('.', " "),
    };
    let title = parts.next().filter(|title| !title.is_empty()).map_or(usual, str::to_owned);
    let width = match parts.next() {
        None | Some("") => None,
        Some(width) => match width.parse::<i64>() {
            Ok(width) if width >= 0 => Some(usize::try_from(width)?),
            Ok(-1) => None,
            _ => bail!("Invalid max width (must be an integer) '{width}' in '{word}'"),
        },
    };
    Ok(Column::Key { device, key, title, width })
}

fn title(letter: char) -> Option<&'static str> {
    Some(match letter {
        '4' => "IPV4",
        '6' => "IPV6",
        'a' => "ARCHITECTURE",
        'b' => "STORAGE POOL",
        'c' => "CREATED AT",
        'd' => "DESCRIPTION",
        'D' => "DISK USAGE",
        'e' => "PROJECT",
        'f' => "BASE IMAGE",
        'F' => "BASE IMAGE",
        'l' => "LAST USED AT",
        'm' => "MEMORY USAGE",
        'M' => "MEMORY USAGE%",
        'n' => "NAME",
        'N' => "PROCESSES",
        'p' => "PID",
        'P' => "PROFILES",
        's' => "STATE",
        'S' => "SNAPSHOTS",
        't' => "TYPE",
        'u' => "CPU USAGE",
        _ => return None,
    })
}

impl Column {
    pub(super) fn title(&self) -> String {
        match self {
            Self::Letter(letter) => title(*letter).unwrap_or_default().to_owned(),
            Self::Key { title, .. } => title.clone(),
        }
    }

    /// Whether the cell comes from the state or the snapshots.
    pub(super) fn needs_state(&self) -> bool {
        matches!(self, Self::Letter('4' | '6' | 'D' | 'm' | 'M' | 'N' | 'p' | 'S' | 'u'))
    }

    pub(super) fn cell(&self, instance: &InstanceFull) -> String {
        match self {
            Self::Letter(letter) => letter_cell(*letter, instance),
            Self::Key { device: Some(device), key, width, .. } => {
                let value = instance.expanded_devices.get(device).and_then(|device| device.get(key));
                cut(value.cloned().unwrap_or_default(), *width)
            }
            Self::Key { device: None, key, width, .. } => {
                cut(instance.expanded_config.get(key).cloned().unwrap_or_default(), *width)
            }
        }
    }
}

fn cut(value: String, width: Option<usize>) -> String {
    width.filter(|width| *width > 0).map_or(value.clone(), |width| value.chars().take(width).collect())
}

fn letter_cell(letter: char, instance: &InstanceFull) -> String {
    let base = || instance.config.get("volatile.base_image").cloned().unwrap_or_default();
    match letter {
        'a' => instance.architecture.clone(),
        'b' => root_pool(instance),
        'c' => day(instance.created_at),
        'd' => instance.description.clone(),
        'e' => instance.project.clone(),
        'f' => base().chars().take(12).collect(),
        'F' => base(),
        'l' => day(instance.last_used_at),
        'n' => instance.name.clone(),
        'P' => instance.profiles.join("\n"),
        's' => instance.status.to_uppercase(),
        'S' => instance.snapshots.len().to_string(),
        't' => kind(instance),
        other => instance.state.as_ref().map(|state| state_cell(other, instance, state)).unwrap_or_default(),
    }
}

fn state_cell(letter: char, instance: &InstanceFull, state: &InstanceState) -> String {
    let running = state.pid != 0;
    match letter {
        '4' => addresses(state, "inet"),
        '6' => addresses(state, "inet6"),
        'D' => disk_usage(instance, state),
        'm' if running && state.memory.usage > 0 => iec(state.memory.usage),
        'M' => memory_share(instance, state),
        'N' if running => state.processes.to_string(),
        'p' if running => state.pid.to_string(),
        'u' if running => format!("{}s", state.cpu.usage / 1_000_000_000),
        _ => String::new(),
    }
}

fn kind(instance: &InstanceFull) -> String {
    let kind = instance.kind.to_uppercase();
    if instance.ephemeral { format!("{kind} (EPHEMERAL)") } else { kind }
}

fn root(instance: &InstanceFull) -> Option<(&String, &hull_api::Config)> {
    let is_root = |device: &hull_api::Config| {
        device.get("type").is_some_and(|kind| kind == "disk") && device.get("path").is_some_and(|path| path == "/")
    };
    instance.expanded_devices.iter().find(|(_, device)| is_root(device))
}

fn root_pool(instance: &InstanceFull) -> String {
    root(instance).and_then(|(_, device)| device.get("pool")).cloned().unwrap_or_default()
}

fn disk_usage(instance: &InstanceFull, state: &InstanceState) -> String {
    let usage = root(instance).and_then(|(name, _)| state.disk.get(name)).map_or(0, |disk| disk.usage);
    if usage > 0 { iec(usage) } else { String::new() }
}

/// Use of the limit, in percent. Nothing without a limit in bytes.
fn memory_share(instance: &InstanceFull, state: &InstanceState) -> String {
    let limit = instance.expanded_config.get("limits.memory").and_then(|limit| bytes(limit));
    match limit {
        Some(limit) if limit > 0 && state.memory.usage > 0 => {
            format!("{:.1}%", state.memory.usage as f64 / limit as f64 * 100.0)
        }
        _ => String::new(),
    }
}

/// `64MiB`, `1GB`, `1024`.
fn bytes(size: &str) -> Option<u64> {
    let digits = size.find(|character: char| !character.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(digits);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1000u64.pow(2),
        "GB" => 1000u64.pow(3),
        "TB" => 1000u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Addresses that others can reach, with their interface, in the order of the last interface first as LXD has it.
fn addresses(state: &InstanceState, family: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (interface, network) in &state.network {
        if network.kind == "loopback" {
            continue;
        }
        for address in &network.addresses {
            if address.family == family && !matches!(address.scope.as_str(), "link" | "local") {
                lines.push(format!("{} ({interface})", address.address));
            }
        }
    }
    lines.sort_by(|left, right| right.cmp(left));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_columns() {
        let columns = parse("ns,user.foo:HEAD:4,devices:eth0.parent").unwrap();
        assert_eq!(columns.iter().map(Column::title).collect::<Vec<_>>(), ["NAME", "STATE", "HEAD", "eth0 parent"]);
        assert_eq!(parse("x").unwrap_err().to_string(), "Unknown column shorthand char 'x' in 'x'");
        assert_eq!(parse("L").unwrap_err().to_string(), "Can't specify column L when not clustered");
    }

    #[test]
    fn cells_of_a_running_container() {
        let state: InstanceState = serde_json::from_str(
            r#"{"pid":7,"processes":3,"memory":{"usage":33554432},"cpu":{"usage":2500000000},"network":{
            "eth0":{"type":"broadcast","addresses":[{"family":"inet","address":"10.0.0.2","scope":"global"},{"family":"inet6","address":"fe80::1","scope":"link"}]},
            "lo":{"type":"loopback","addresses":[{"family":"inet","address":"127.0.0.1","scope":"local"}]}}}"#,
        )
        .unwrap();
        let expanded_config = [("limits.memory".to_owned(), "64MiB".to_owned())].into();
        let instance = InstanceFull {
            state: Some(state),
            expanded_config,
            ephemeral: true,
            kind: "container".into(),
            ..InstanceFull::default()
        };
        let cells: Vec<String> = parse("46mMNput").unwrap().iter().map(|column| column.cell(&instance)).collect();
        assert_eq!(cells, ["10.0.0.2 (eth0)", "", "32.00MiB", "50.0%", "3", "7", "2s", "CONTAINER (EPHEMERAL)"]);
    }
}
