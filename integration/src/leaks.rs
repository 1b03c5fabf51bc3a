//! What a daemon has on the host: asked before it starts and after it has been cleaned up, it must be the same.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

/// Everything on the host that belongs to the daemon with this directory.
pub(crate) fn of(directory: &Path) -> BTreeSet<String> {
    let text = directory.display().to_string();
    let mut found = BTreeSet::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().filter(|line| line.contains(&text)).map(|line| format!("mount: {line}")));
    found.extend(processes(&text));
    found
}

/// Fails with the list if anything is left.
pub(crate) fn none_left(before: &BTreeSet<String>, directory: &Path) -> Result<()> {
    let left: Vec<String> = of(directory).difference(before).cloned().collect();
    if !left.is_empty() {
        bail!("left on the host:\n  {}", left.join("\n  "));
    }
    Ok(())
}

/// Processes that name the directory in their command line or environment.
fn processes(text: &str) -> Vec<String> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own);
    pids.filter_map(|pid| {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (arguments, environment) = (read("cmdline"), read("environ"));
        let names = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
        (names(&arguments) || names(&environment))
            .then(|| format!("process {pid}: {}", String::from_utf8_lossy(&arguments).replace('\0', " ")))
    })
    .collect()
}
