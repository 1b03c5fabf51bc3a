//! The list of plugins.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::{Plugin, PluginProcess};

/// List the plugins and their processes
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let plugins: Vec<Plugin> = server.get(&(url(&["plugins"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = plugins.iter().flat_map(rows).collect();
        sort_naturally(&mut rows);
        let header = header(&["NAME", "TYPE", "VERSION", "POOL", "STATE", "PID", "UPTIME", "RESTARTS"]);
        Listing { header: &header, rows: &rows, values: &plugins }.print(&cx.printer, self.format)
    }
}

/// A row a process; one for a plugin without any.
fn rows(plugin: &Plugin) -> Vec<Vec<String>> {
    let row = |process: &PluginProcess| {
        let version = if process.version.is_empty() { &plugin.version } else { &process.version };
        vec![
            plugin.name.clone(),
            plugin.kind.to_uppercase(),
            version.clone(),
            process.pool.clone(),
            process.status.to_uppercase(),
            if process.pid > 0 { process.pid.to_string() } else { String::new() },
            if process.pid > 0 { uptime(process.uptime) } else { String::new() },
            process.restarts.to_string(),
        ]
    };
    if plugin.processes.is_empty() {
        return vec![row(&PluginProcess { status: plugin.status.clone(), ..PluginProcess::default() })];
    }
    plugin.processes.iter().map(row).collect()
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
}
