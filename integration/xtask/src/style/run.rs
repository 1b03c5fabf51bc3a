//! The walk over all sources of the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::rules::{DriverNames, check};
use super::source::{Finding, Source};
use crate::docs;
use crate::workspace::{plugins, root};

/// Check what clippy cannot say: headers, lengths, layout, walls between crates
#[derive(Debug, clap::Args)]
pub(crate) struct Style {
    /// Only these files and folders
    paths: Vec<PathBuf>,
}

/// Drivers' words that the API itself has too: an instance *is* a container, whoever runs it; a path may be a file.
const API_WORDS: [&str; 2] = ["container", "file"];

pub(crate) fn run(style: &Style) -> Result<()> {
    let root = root()?;
    let names = driver_names(&root)?;
    let mut files = Vec::new();
    if style.paths.is_empty() {
        collect(&root, &mut files)?;
    }
    for path in &style.paths {
        collect(&std::path::absolute(path)?, &mut files)?;
    }
    files.sort();
    let mut findings: Vec<Finding> = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let shown = path.strip_prefix(&root).unwrap_or(path).to_string_lossy();
        match Source::parse(&shown, &text) {
            Ok(source) => findings.extend(check(&source, &names)),
            Err(finding) => findings.push(finding),
        }
    }
    findings.sort();
    for Finding { path, line, rule, what } in &findings {
        println!("{path}:{line}: rule {rule}: {what}");
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files", findings.len(), files.len());
    }
    if style.paths.is_empty() {
        docs::check()?;
    }
    println!("style: {} files, no findings", files.len());
    Ok(())
}

/// All `.rs` files below `path`, not in build output or hidden folders.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot list `{}`", path.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list `{}`", path.display()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && name != "target" {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

fn driver_names(root: &Path) -> Result<DriverNames> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        name: String,
    }
    let mut names = DriverNames::default();
    for plugin in plugins()? {
        let path = root.join("plugins").join(plugin).join("plugin.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("`{}` is no manifest", path.display()))?;
        if let Some((_, word)) = manifest.name.split_once('-')
            && !API_WORDS.contains(&word)
        {
            names.words.push(word.to_owned());
        }
        names.full.push(manifest.name);
    }
    Ok(names)
}
