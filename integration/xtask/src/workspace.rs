//! Where the sources, the build output and the cache are, and how cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The programs a person starts, and those they start.
pub(crate) const BINARIES: [&str; 3] = ["hull", "hulld", "hull-gateway"];
/// Started by the container driver, found beside it.
pub(crate) const HELPERS: [&str; 1] = ["hull-init"];

/// The folder with the workspace's Cargo.toml.
pub(crate) fn root() -> Result<PathBuf> {
    // Asked when it runs: a build may be shared by several checkouts.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&here)
        .ancestors()
        .nth(2)
        .context("the xtask crate has moved: its workspace is no longer two folders up")?;
    Ok(root.to_owned())
}

/// What is kept between runs: `$XDG_CACHE_HOME/hull`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        (_, None) => bail!("neither XDG_CACHE_HOME nor HOME is set: no place to build in"),
    };
    Ok(base.join("hull"))
}

/// Where cargo builds: `$CARGO_TARGET_DIR`, else in the cache.
pub(crate) fn target() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) => std::path::absolute(path).context("CARGO_TARGET_DIR is no path"),
        None => Ok(cache()?.join("target")),
    }
}

/// Tools that setup installed beside the system's.
pub(crate) fn tools() -> Result<PathBuf> {
    Ok(cache()?.join("tools"))
}

/// The plugins' crates, by the folders that have a manifest.
pub(crate) fn plugins() -> Result<Vec<String>> {
    let folder = root()?.join("plugins");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let with_manifest = entries.flatten().filter(|entry| entry.path().join("plugin.toml").is_file());
    let mut names: Vec<String> = with_manifest.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Cargo, in the workspace, building where [`target`] says, seeing [`tools`].
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut path = vec![tools()?.join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()?).env("CARGO_TARGET_DIR", target()?);
    command.env("PATH", std::env::join_paths(path).context("PATH has an entry with a colon")?);
    Ok(command)
}

/// Builds the product for release; where its programs are.
pub(crate) fn build_release() -> Result<PathBuf> {
    say("building (release)");
    succeed(&mut cargo(&["build", "--release"])?)?;
    let built = target()?.join("release");
    if !built.join("hulld").is_file() {
        bail!("`{}` has no hulld after a successful build", built.display());
    }
    Ok(built)
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or fails; the command is in the text.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command to its end; its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", shown(command), output.status, why.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed something that is not text", shown(command)))
}

/// One line of what is going on, apart from the output of what is started.
pub(crate) fn say(what: &str) {
    println!("==> {what}");
}

/// The command as one would type it, in backticks.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}
