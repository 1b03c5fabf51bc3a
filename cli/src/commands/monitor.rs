//! Events as they happen.

use super::query::sorted;
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
                "json" => format!("{}\n", sorted(serde_json::from_slice(&bytes)?)),
                "yaml" => to_yaml(&sorted(serde_json::from_slice(&bytes)?))? + "\n\n",
                _ => match pretty(&serde_json::from_slice(&bytes)?, self.loglevel.as_deref()) {
                    Some(line) => line,
                    None => continue,
                },
            };
            cx.printer.text(text);
        }
        bail!("the server has ended the stream of events")
    }
}

/// One line, or nothing for a log message below `level`.
fn pretty(event: &Event, level: Option<&str>) -> Option<String> {
    let time = event.timestamp.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    match event.kind.as_str() {
        "logging" => {
            let log: EventLogging = serde_json::from_value(event.metadata.clone()).ok()?;
            if level.is_some_and(|wanted| rank(&log.level) > rank(wanted)) {
                return None;
            }
            let context = log.context.iter().map(|(key, value)| (key.as_str(), value.clone()));
            Some(line(&time, &log.level, &log.message, context))
        }
        "lifecycle" => {
            let life: EventLifecycle = serde_json::from_value(event.metadata.clone()).ok()?;
            let message = format!("Action: {}, Source: {}", life.action, life.source);
            let context = event.metadata.get("context").and_then(Value::as_object);
            let context = context.into_iter().flatten().map(|(key, value)| (key.as_str(), as_go(value)));
            Some(line(&time, "info", &message, context))
        }
        _ => {
            let text = |key: &str| event.metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let message = format!("ID: {}, Class: {}, Description: {}", text("id"), text("class"), text("description"));
            let fields = [
                ("CreatedAt", "created_at"),
                ("Err", "err"),
                ("Location", "location"),
                ("MayCancel", "may_cancel"),
                ("Metadata", "metadata"),
                ("Resources", "resources"),
                ("Status", "status"),
                ("StatusCode", "status"),
                ("UpdatedAt", "updated_at"),
            ];
            let shown = |key: &str| match event.metadata.get(key) {
                None | Some(Value::Null) if key == "metadata" => "map[]".to_owned(),
                value => as_go(value.unwrap_or(&Value::Null)),
            };
            Some(line(&time, "info", &message, fields.into_iter().map(|(name, key)| (name, shown(key)))))
        }
    }
}

/// A line of `key=value`, as LXD's client prints it.
fn line<'a>(time: &str, level: &str, message: &str, context: impl Iterator<Item = (&'a str, String)>) -> String {
    let context: String = context.map(|(key, value)| format!(" {key}={}", quoted(&value))).collect();
    format!("time=\"{time}\" level={level} msg={}{context}\n", quoted(message))
}

/// In quotes, unless it is a plain word.
fn quoted(text: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "-._/@^+".contains(one);
    if text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

/// A value as Go prints it: `map[a:1 b:[x y]]`.
fn as_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(as_go).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", as_go(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
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
