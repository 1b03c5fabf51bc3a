//! `cargo xtask docs`: what in the documents is said by other files of the tree, taken from there.
//!
//! So far that is the table of sandboxes in ARCHITECTURE.md, from the plugins' manifests. `cargo xtask style` fails when
//! it differs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::workspace::{plugins, root, say};

/// Write what documents say about manifests
#[derive(Debug, clap::Args)]
pub(crate) struct Docs {
    /// Change nothing; fail if something would be changed
    #[arg(long)]
    check: bool,
}

const BEGIN: &str = "<!-- written by `cargo xtask docs` from plugins/*/plugin.toml -->\n";
const END: &str = "<!-- end -->\n";
const HEAD: &str = "| process | kind | user | capabilities | network | sees, beside the base | writes | runs | filter, on top of the base | bounds |\n\
                    |---|---|---|---|---|---|---|---|---|---|\n";
/// Above so many, a count says more than the names.
const FEW: usize = 16;

pub(crate) fn run(docs: &Docs) -> Result<()> {
    let (path, old, new) = rendered()?;
    if old == new {
        return Ok(());
    }
    if docs.check {
        bail!("the table of sandboxes in `{}` is not what the manifests say: run `cargo xtask docs`", path.display());
    }
    fs::write(&path, new).with_context(|| format!("cannot write `{}`", path.display()))?;
    say(&format!("written: `{}`", path.display()));
    Ok(())
}

/// Fails if the documents differ from the manifests.
pub(crate) fn check() -> Result<()> {
    run(&Docs { check: true })
}

fn rendered() -> Result<(PathBuf, String, String)> {
    let path = root()?.join("ARCHITECTURE.md");
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let new = replaced(&old, &table()?).with_context(|| format!("`{}` has no place for the table", path.display()))?;
    Ok((path, old, new))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table() -> Result<String> {
    let mut text = HEAD.to_owned();
    for plugin in plugins()? {
        let path = root()?.join("plugins").join(&plugin).join("plugin.toml");
        let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let manifest: Table =
            toml::from_str(&manifest).with_context(|| format!("`{}` is no manifest", path.display()))?;
        rows(&manifest, &mut text);
    }
    Ok(text)
}

fn rows(manifest: &Table, text: &mut String) {
    let word = |table: &Table, key: &str| table.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let name = word(manifest, "name");
    let none = Table::new();
    let table = |of: &Table, key: &str| of.get(key).and_then(Value::as_table).cloned().unwrap_or_else(Table::new);
    text.push_str(&row(
        &format!("`{name}`"),
        &word(manifest, "kind"),
        &table(manifest, "sandbox"),
        &table(manifest, "limits"),
    ));
    let helper = manifest.get("helper").and_then(Value::as_table);
    if let Some(helper) = helper {
        let mut sandbox = table(manifest, "sandbox");
        sandbox.insert(
            "capabilities".into(),
            helper.get("capabilities").cloned().unwrap_or_else(|| Value::Array(Vec::new())),
        );
        sandbox.insert("system_calls".into(), Value::Array(vec!["@all".into()]));
        text.push_str(&row(&format!("`{name}` / `{}`", word(helper, "program")), "helper", &sandbox, &none));
    }
    for service in manifest.get("service").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table) {
        let mut sandbox = table(service, "sandbox");
        let program = word(service, "program");
        let mut runs = sandbox.get("execute").and_then(Value::as_array).cloned().unwrap_or_default();
        runs.push(program.into());
        sandbox.insert("execute".into(), Value::Array(runs));
        let process = format!("`{name}` / `{}`", word(service, "name"));
        text.push_str(&row(&process, "service", &sandbox, &table(service, "limits")));
    }
}

fn row(process: &str, kind: &str, sandbox: &Table, limits: &Table) -> String {
    let word = |key: &str, default: &str| sandbox.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    let flag = |key: &str| sandbox.get(key).and_then(Value::as_bool) == Some(true);
    let names = |key: &str| -> Vec<String> {
        sandbox
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let own = |flags: &[(&str, &str)]| -> Vec<String> {
        flags.iter().filter(|(key, _)| flag(key)).map(|(_, path)| (*path).to_owned()).collect()
    };
    let capabilities = names("capabilities");
    let capabilities = match capabilities.len() {
        0 => "—".into(),
        count if count > FEW => format!("{count}"),
        _ => capabilities.join(", "),
    };
    let over = if sandbox.get("user").and_then(Value::as_str).is_some_and(|user| user != "host-root")
        && capabilities != "—"
    {
        ", over its own namespaces only"
    } else {
        ""
    };
    let network = match word("network", "none").as_str() {
        "client" => "outwards",
        "host" => "the host's",
        _ => "none",
    };
    let sees = [names("read"), names("devices"), own(&[("proc", "/proc")])].concat();
    let writes = [names("write"), own(&[("state", "/state"), ("pool", "/pool"), ("cgroup", "/cgroup")])].concat();
    let cells = [
        process.to_owned(),
        kind.to_owned(),
        format!("`{}`", word("user", "dynamic")),
        format!("{capabilities}{over}"),
        network.to_owned(),
        quoted(&sees),
        quoted(&writes),
        quoted(&names("execute")),
        quoted(&names("system_calls")),
        bounds(limits),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "—".into();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn bounds(limits: &Table) -> String {
    let number = |key: &str| limits.get(key).and_then(Value::as_integer);
    let memory = number("memory").map(|bytes| format!("{} MiB", bytes >> 20));
    let processes = number("processes").map(|count| format!("{count} processes"));
    let files = number("open_files").map(|count| format!("{count} files"));
    let all: Vec<String> = [memory, processes, files].into_iter().flatten().collect();
    if all.is_empty() { "—".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(replaced(&text, "new\n").unwrap(), format!("before\n{BEGIN}new\n{END}after\n"));
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn a_row_says_what_the_manifest_grants() {
        let manifest = "name = \"storage-x\"\nkind = \"storage\"\n[sandbox]\nuser = \"namespace\"\ncapabilities = [\"CHOWN\"]\n\
                        pool = true\nread = [\"/etc/x\"]\n[limits]\nmemory = 1048576\n";
        let mut text = String::new();
        rows(&toml::from_str(manifest).unwrap(), &mut text);
        let expected = "| `storage-x` | storage | `namespace` | CHOWN, over its own namespaces only | none | `/etc/x` | `/pool` | — | — | 1 MiB |\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_documents_say_what_the_manifests_say() {
        check().unwrap();
    }
}
