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

/// What only a running process has is empty without one, and what calls take without any.
fn cell(letter: char, plugin: &Plugin, process: &PluginProcess) -> String {
    let running = process.pid > 0;
    let if_running = |text: String| if running { text } else { String::new() };
    let measured = process.statistics.as_ref().filter(|_| running);
    let of_calls = |text: fn(&PluginStatistics) -> String| {
        measured.filter(|statistics| statistics.calls > 0).map(text).unwrap_or_default()
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
        _ => measured.map(|statistics| memory(statistics.memory_bytes)).unwrap_or_default(),
    }
}

/// `2`, or `1-2`: what it could speak.
fn spoken(contract: PluginContract) -> String {
    if contract.oldest == contract.newest {
        return contract.newest.to_string();
    }
    format!("{}-{}", contract.oldest, contract.newest)
}

/// `830µs`, `1.4ms`, `15ms`, `1.2s`.
fn duration(microseconds: u64) -> String {
    match microseconds {
        ..1000 => format!("{microseconds}µs"),
        1000..9950 => format!("{:.1}ms", microseconds as f64 / 1e3),
        9950..999_500 => format!("{}ms", (microseconds + 500) / 1000),
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
    fn durations_are_short() {
        let texts = [0, 830, 1408, 9949, 9950, 15_360, 999_499, 999_500, 1_240_000].map(duration);
        assert_eq!(texts, ["0µs", "830µs", "1.4ms", "9.9ms", "10ms", "15ms", "999ms", "1.0s", "1.2s"]);
    }

    #[test]
    fn a_running_process_shows_its_figures_and_a_stopped_one_does_not() {
        let statistics = PluginStatistics {
            calls: 7,
            calls_per_second: 2.5,
            p50_microseconds: 830,
            p99_microseconds: 15_360,
            memory_bytes: 5 << 20,
            ..PluginStatistics::default()
        };
        let mut process = PluginProcess {
            pid: 4,
            contract: 2,
            uptime: 421,
            statistics: Some(statistics),
            ..PluginProcess::default()
        };
        let figures = |process: &PluginProcess| {
            ['c', 'u', 'C', 'h', 'H', 'm'].map(|letter| cell(letter, &Plugin::default(), process))
        };
        assert_eq!(figures(&process), ["2", "7m 1s", "2.5", "830µs", "15ms", "5.00MiB"]);
        (process.pid, process.contract) = (0, 0);
        assert_eq!(figures(&process), ["0", "", "", "", "", ""]);
        assert!(title('x').is_err());
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
