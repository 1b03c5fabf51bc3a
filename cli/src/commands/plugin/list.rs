//! The list of plugins.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, iec, sort_naturally};
use anyhow::{Result, bail};
use hull_api::{Plugin, PluginContract, PluginProcess, PluginStatistics};

/// List the plugins and their processes
///
/// Columns: n name, t type, v version, c contract, p pool, s state, P pid, u uptime, r restarts, C calls a second, h the time within
/// which half of the calls are through and H within which 99 of 100 are, m memory.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// Which columns
    #[arg(short, long, default_value = "ntvcpsPurChHm")]
    columns: String,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let columns: Vec<char> = self.columns.chars().filter(|letter| *letter != ',').collect();
        let titles = columns.iter().map(|letter| title(*letter)).collect::<Result<Vec<_>>>()?;
        let plugins: Vec<Plugin> = server.get(&(url(&["plugins"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = plugins.iter().flat_map(|plugin| rows(plugin, &columns)).collect();
        sort_naturally(&mut rows);
        Listing { header: &header(&titles), rows: &rows, values: &plugins }.print(&cx.printer, self.format)
    }
}

/// A row a process; one for a plugin without any.
fn rows(plugin: &Plugin, columns: &[char]) -> Vec<Vec<String>> {
    let row = |process| columns.iter().map(|letter| cell(*letter, plugin, process)).collect();
    if plugin.processes.is_empty() {
        return vec![row(&PluginProcess { status: plugin.status.clone(), ..PluginProcess::default() })];
    }
    plugin.processes.iter().map(row).collect()
}

fn title(letter: char) -> Result<&'static str> {
    Ok(match letter {
        'n' => "NAME",
        't' => "TYPE",
        'v' => "VERSION",
        'c' => "CONTRACT",
        'p' => "POOL",
        's' => "STATE",
        'P' => "PID",
        'u' => "UPTIME",
        'r' => "RESTARTS",
        'C' => "CALLS/S",
        'h' => "P50",
        'H' => "P99",
        'm' => "MEMORY",
        other => bail!("Unknown column shorthand char '{other}' in '{other}'"),
    })
}

/// Empty where there is no process, or it has not been asked for anything.
fn cell(letter: char, plugin: &Plugin, process: &PluginProcess) -> String {
    let if_running = |text: String| if process.pid > 0 { text } else { String::new() };
    let of_calls = |text: fn(&PluginStatistics) -> String| {
        process.statistics.as_ref().filter(|statistics| statistics.calls > 0).map(text).unwrap_or_default()
    };
    match letter {
        'n' => plugin.name.clone(),
        't' => plugin.kind.to_uppercase(),
        'v' if process.version.is_empty() => plugin.version.clone(),
        'v' => process.version.clone(),
        'c' if process.contract > 0 => process.contract.to_string(),
        'c' => spoken(plugin.contract),
        'p' => process.pool.clone(),
        's' => process.status.to_uppercase(),
        'P' => if_running(process.pid.to_string()),
        'u' => if_running(uptime(process.uptime)),
        'r' => process.restarts.to_string(),
        'C' => of_calls(|statistics| format!("{:.1}", statistics.calls_per_second)),
        'h' => of_calls(|statistics| duration(statistics.p50_microseconds)),
        'H' => of_calls(|statistics| duration(statistics.p99_microseconds)),
        _ => if_running(
            process.statistics.as_ref().map(|statistics| memory(statistics.memory_bytes)).unwrap_or_default(),
        ),
    }
}

/// `2`, or `1-2`: what it could speak.
fn spoken(contract: PluginContract) -> String {
    if contract.oldest == contract.newest {
        return contract.newest.to_string();
    }
    format!("{}-{}", contract.oldest, contract.newest)
}

/// `830µs`, `15ms`, `1.2s`.
fn duration(microseconds: u64) -> String {
    match microseconds {
        ..1000 => format!("{microseconds}µs"),
        1000..1_000_000 => format!("{}ms", (microseconds + 500) / 1000),
        _ => format!("{:.1}s", microseconds as f64 / 1e6),
    }
}

fn memory(bytes: u64) -> String {
    iec(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// `3d 4h`, `2h 5m`, `7m 1s`, `9s`.
pub(super) fn uptime(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_have_two_units() {
        let texts: Vec<String> = [9, 421, 7500, 273_600].map(uptime).into();
        assert_eq!(texts, ["9s", "7m 1s", "2h 5m", "3d 4h"]);
    }

    #[test]
    fn durations_have_two_or_three_digits() {
        assert_eq!([0, 830, 15_360, 1_240_000].map(duration), ["0µs", "830µs", "15ms", "1.2s"]);
    }

    #[test]
    fn a_plugin_without_a_process_has_a_row() {
        let contract = PluginContract { oldest: 1, newest: 2 };
        let plugin = Plugin {
            name: "a".into(),
            kind: "image".into(),
            version: "0.1".into(),
            contract,
            status: "Stopped".into(),
            ..Plugin::default()
        };
        let columns: Vec<char> = "ntvcpsPurChHm".chars().collect();
        let empty = "";
        assert_eq!(
            rows(&plugin, &columns),
            [["a", "IMAGE", "0.1", "1-2", empty, "STOPPED", empty, empty, "0", empty, empty, empty, empty]]
        );
    }
}
