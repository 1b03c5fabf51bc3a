//! Events as they happen.

use crate::context::Context;
use crate::output::to_yaml;
use anyhow::{Result, bail};
use hull_api::{Event, EventLifecycle, EventLogging};
use serde_json::Value;

/// Show events as they happen
#[derive(Debug, clap::Args)]
pub(crate) struct Monitor {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// Events of all projects
    #[arg(long)]
    all_projects: bool,
    /// One of json, pretty, yaml
    #[arg(short, long, default_value = "yaml")]
    format: String,
    /// Lowest level of log messages, with --pretty
    #[arg(long)]
    loglevel: Option<String>,
    /// Short for --format=pretty
    #[arg(long)]
    pretty: bool,
    /// Kind of event: lifecycle, logging, operation
    #[arg(long = "type")]
    kinds: Vec<String>,
}

impl Monitor {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let format = if self.pretty { "pretty" } else { &self.format };
        if !["json", "pretty", "yaml"].contains(&format) {
            bail!("Invalid format: {format}");
        }
        let mut kinds = self.kinds.clone();
        if format == "pretty" && kinds.is_empty() {
            kinds.push("logging".into());
        }
        let mut query = Vec::new();
        if !kinds.is_empty() {
            query.push(format!("type={}", kinds.join(",")));
        }
        if self.all_projects {
            query.push("all-projects=true".to_owned());
        }
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let mut events = server.events(&query).await?;
        while let Some(bytes) = events.receiver.next().await? {
            let text = match format {
                "json" => format!("{}\n", String::from_utf8_lossy(&bytes).trim_end()),
                "yaml" => to_yaml(&serde_json::from_slice::<Value>(&bytes)?)? + "\n\n",
                _ => match pretty(&serde_json::from_slice(&bytes)?, self.loglevel.as_deref()) {
                    Some(line) => line,
                    None => continue,
                },
            };
            cx.printer.text(text);
        }
        Ok(())
    }
}

/// One line, or nothing for a log message below `level`.
fn pretty(event: &Event, level: Option<&str>) -> Option<String> {
    let time = event.timestamp.format("%Y-%m-%dT%H:%M:%SZ");
    match event.kind.as_str() {
        "logging" => {
            let log: EventLogging = serde_json::from_value(event.metadata.clone()).ok()?;
            if level.is_some_and(|wanted| rank(&log.level) > rank(wanted)) {
                return None;
            }
            let context: String = log.context.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            Some(format!("{:<7} [{time}] {}{context}\n", log.level.to_uppercase(), log.message))
        }
        "lifecycle" => {
            let life: EventLifecycle = serde_json::from_value(event.metadata.clone()).ok()?;
            Some(format!("INFO    [{time}] Action: {}, Source: {}\n", life.action, life.source))
        }
        _ => {
            let text = |key: &str| event.metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(format!(
                "INFO    [{time}] ID: {}, Class: {}, Description: {}, Status: {}\n",
                text("id"),
                text("class"),
                text("description"),
                text("status")
            ))
        }
    }
}

fn rank(level: &str) -> usize {
    const LEVELS: [&str; 7] = ["panic", "fatal", "error", "warning", "info", "debug", "trace"];
    let level = match level {
        "warn" => "warning",
        "dbug" => "debug",
        "eror" => "error",
        other => other,
    };
    LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len())
}
