//! Canaries, hostile images, and what the tests have in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use hull_integration::{Finished, Host, Target, run};
use serde_json::{Value, json};

/// What stands in a canary: it must never come out of the API or an instance.
pub(crate) const SECRET: &str = "do-not-read-7f3a";

/// A folder of the host with things to read and to overwrite.
pub(crate) struct Canary {
    pub(crate) folder: PathBuf,
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Canary {
    pub(crate) fn new(host: &Host) -> Result<Self> {
        let folder = host.folder().join("canary");
        for name in ["file", "metadata.yaml", "etc/passwd", "sbin/init", "null", "console", "dev/null", "proc/version"]
        {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().context("a parent")?)?;
            fs::write(path, SECRET)?;
        }
        let before = content(&folder)?;
        Ok(Self { folder, before })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("file")
    }

    /// Nothing in it was changed, and nothing has been added.
    pub(crate) fn assert_untouched(&self) -> Result<()> {
        assert_eq!(content(&self.folder)?, self.before, "the host's files were changed");
        Ok(())
    }
}

fn content(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(content(&path)?);
        } else {
            all.push((path.clone(), fs::read(&path)?));
        }
    }
    all.sort();
    Ok(all)
}

/// Whether this story is about Hull's own make: LXD is not asked.
pub(crate) fn only_hull(host: &Host) -> bool {
    host.target() == Target::Hull
}

/// The busybox image taken apart, for `change` to spoil, and put together again.
pub(crate) fn image(host: &Host, name: &str, change: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let tree = host.folder().join(format!("tree-{name}"));
    fs::create_dir(&tree)?;
    shell(&format!("tar -C '{}' -xzf '{}'", tree.display(), host.folder().join("busybox.tar.gz").display()))?;
    change(&tree)?;
    let tarball = host.folder().join(format!("{name}.tar.gz"));
    shell(&format!("tar -C '{}' -czf '{}' $(ls -A '{}')", tree.display(), tarball.display(), tree.display()))?;
    fs::remove_dir_all(&tree)?;
    Ok(tarball)
}

pub(crate) fn shell(line: &str) -> Result<String> {
    run(Command::new("sh").args(["-ec", line]), "")?.ok()
}

pub(crate) fn import(host: &Host, tarball: &Path, alias: &str) -> Result<Finished> {
    host.client(&["image", "import", &tarball.display().to_string(), "--alias", alias])
}

/// Creates an instance of the image and starts it; either may be refused.
pub(crate) fn launch(host: &Host, name: &str, alias: &str) -> Result<()> {
    let body = json!({"name": name, "source": {"type": "image", "alias": alias}});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?)?;
    let start = json!({"action": "start", "timeout": 30});
    host.rest.wait(&host.rest.put(&format!("/1.0/instances/{name}/state"), &start)?).map(drop)
}

/// All that the API gives out about a file, in one text.
pub(crate) fn fetched(host: &Host, instance: &str, path: &str) -> Result<String> {
    let answer = host.rest.get(&format!("/1.0/instances/{instance}/files?path={path}"))?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// The supervisor has not been restarted since `before`.
pub(crate) fn assert_same_supervisor(host: &Host, before: Option<i32>) -> Result<()> {
    if before.is_none() || host.supervisor() != before {
        bail!("the supervisor {before:?} is now {:?}\n{}", host.supervisor(), host.log());
    }
    Ok(())
}

/// A field of `/proc/PID/status`.
pub(crate) fn status_field(pid: i64, name: &str) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.context("no such field")?.trim().to_owned())
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
