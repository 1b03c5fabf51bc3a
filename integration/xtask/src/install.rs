//! `cargo xtask install --prefix P`: the programs, the plugins and the systemd units, where a package would put them.
//!
//! ```text
//! P/bin/{hull,hulld,hull-gateway}   P/lib/hull/plugins/NAME/{NAME,plugin.toml,hull-init of instance drivers}
//! P/lib/systemd/system/{hull.service,hull-instances.service}
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{BINARIES, HELPERS, build_release, plugins, root, say};

/// Build for release and install
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// Where to: `/usr/local`, or a packager's tree
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put in front of every path that is written, but not into the units
    #[arg(long)]
    destdir: Option<PathBuf>,
}

const UNITS: [(&str, &str); 2] = [
    ("hull.service", include_str!("hull.service")),
    ("hull-instances.service", include_str!("hull-instances.service")),
];

pub(crate) fn run(install: &Install) -> Result<()> {
    let built = build_release()?;
    let prefix = std::path::absolute(&install.prefix).context("the prefix is no path")?;
    let tree = match &install.destdir {
        Some(destdir) => destdir.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix.clone(),
    };
    for name in BINARIES {
        put(&built.join(name), &tree.join("bin").join(name))?;
    }
    let folder = root()?.join("plugins");
    for name in plugins()? {
        let plugin = tree.join("lib/hull/plugins").join(&name);
        put(&built.join(&name), &plugin.join(&name))?;
        write(&plugin.join("plugin.toml"), &read(&folder.join(&name).join("plugin.toml"))?, 0o644)?;
        for helper in HELPERS.iter().filter(|_| name.starts_with("instance-")) {
            put(&built.join(helper), &plugin.join(helper))?;
        }
    }
    for (name, unit) in UNITS {
        let unit = unit.replace("@PREFIX@", &prefix.display().to_string());
        write(&tree.join("lib/systemd/system").join(name), unit.as_bytes(), 0o644)?;
    }
    say(&format!(
        "installed to `{}`; next: groupadd --system --force hull; systemctl enable --now hull hull-instances",
        tree.display()
    ));
    Ok(())
}

fn put(from: &Path, to: &Path) -> Result<()> {
    write(to, &read(from)?, 0o755)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Beside the old file, then in its place: a program that runs is not written into.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("the root is no file")?;
    let replace = || {
        fs::create_dir_all(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh = folder.join(name);
        fs::write(&fresh, content)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
        fs::rename(&fresh, path)
    };
    replace().with_context(|| format!("cannot write `{}`", path.display()))
}
