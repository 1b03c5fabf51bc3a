//! Why something does not work, and what to do about it. The server looks; this prints.

use crate::commands::Exit;
use crate::context::Context;
use anyhow::Result;
use hull_api::{Doctor as Findings, DoctorPlugin};
use std::fmt::Write;

/// Say what is wrong with the machine or a plugin, and what to do about it
///
/// The exit status is 1 if something is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// A plugin, or a process of one such as storage-dir@default; the machine and all plugins if it is missing
    #[arg(value_name = "[REMOTE:]NAME")]
    name: Option<String>,
}

impl Doctor {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate_or_default(self.name.as_deref())?;
        let query = if name.is_empty() { String::new() } else { format!("?name={name}") };
        let findings: Findings = server.get(&format!("/1.0/doctor{query}")).await?;
        cx.printer.text(told(&findings, !name.is_empty()));
        if findings.healthy { Ok(()) } else { Err(Exit { status: 1, message: None }.into()) }
    }
}

fn told(findings: &Findings, in_detail: bool) -> String {
    let mut text = String::new();
    for check in &findings.checks {
        line(&mut text, &check.verdict, &check.name, &check.detail);
        if !check.hint.is_empty() {
            detail(&mut text, &check.hint);
        }
    }
    for plugin in &findings.plugins {
        told_of(plugin, in_detail, &mut text);
    }
    text
}

fn told_of(plugin: &DoctorPlugin, in_detail: bool, text: &mut String) {
    let verdict = if plugin.healthy { "ok" } else { "wrong" };
    let mut state = plugin.state.clone();
    if plugin.pid > 0 {
        let numbers = &plugin.statistics;
        // Writing to a string cannot fail.
        let _ = write!(
            state,
            ", pid {}, {} calls, half within {} µs, {} KiB, restarted {} times",
            plugin.pid,
            numbers.calls,
            numbers.p50_microseconds,
            numbers.memory_bytes / 1024,
            numbers.restarts
        );
    }
    line(text, verdict, &format!("plugin {}", plugin.name), &state);
    if plugin.healthy && !in_detail {
        return;
    }
    if !plugin.object.is_empty() {
        detail(text, &format!("serves {}", plugin.object));
    }
    if !plugin.reason.is_empty() {
        detail(text, &plugin.reason);
    }
    for end in &plugin.ends {
        detail(text, &format!("{}: {}", end.at.0.format("%F %T UTC"), end.how));
    }
    for log in &plugin.log {
        detail(text, &format!("log: {log}"));
    }
    for frame in &plugin.kernel_stack {
        detail(text, &format!("in the kernel at {frame}"));
    }
    if !plugin.command.is_empty() {
        detail(text, &format!("to clear it: {}", plugin.command));
    }
}

fn line(text: &mut String, verdict: &str, name: &str, detail: &str) {
    let _ = writeln!(text, "{verdict:<8} {name}: {detail}");
}

fn detail(text: &mut String, what: &str) {
    let _ = writeln!(text, "         {what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_api::{DoctorCheck, DoctorEnd};

    #[test]
    fn a_plugin_out_of_service_is_explained_with_the_command_that_clears_it() {
        let end = DoctorEnd { how: "killed by signal 6 (SIGABRT); its last words: boom".into(), ..Default::default() };
        let sick = DoctorPlugin {
            name: "storage-x@fast".into(),
            plugin: "storage-x".into(),
            object: "/1.0/storage-pools/fast".into(),
            state: "out of service".into(),
            ends: vec![end],
            kernel_stack: vec!["fuse_wait+0x1".into()],
            command: "hull plugin restart storage-x".into(),
            ..Default::default()
        };
        let well = DoctorPlugin { name: "image-y".into(), state: "ready".into(), healthy: true, ..Default::default() };
        let check = DoctorCheck {
            name: "space".into(),
            verdict: "wrong".into(),
            detail: "none".into(),
            hint: "free some".into(),
        };
        let text = told(&Findings { healthy: false, checks: vec![check], plugins: vec![sick, well] }, false);
        for part in [
            "wrong    space: none\n         free some\n",
            "wrong    plugin storage-x@fast: out of service\n",
            "serves /1.0/storage-pools/fast",
            "1970-01-01 00:00:00 UTC: killed by signal 6",
            "in the kernel at fuse_wait+0x1",
            "to clear it: hull plugin restart storage-x\n",
            "ok       plugin image-y: ready\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
