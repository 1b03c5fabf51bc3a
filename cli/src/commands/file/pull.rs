//! Files out of instances.

use super::place::Place;
use super::transfer::{Found, entries, fetch, local};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http_body_util::BodyExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Copy files out of instances
#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    #[arg(value_name = "[REMOTE:]INSTANCE/PATH... TARGET", required = true, num_args = 2..)]
    words: Vec<String>,
    /// Make the folders on the way
    #[arg(short = 'p', long)]
    create_dirs: bool,
    /// Folders with all that is in them
    #[arg(short, long)]
    recursive: bool,
}

impl Pull {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let Some((target, sources)) = self.words.split_last() else { bail!("Invalid number of arguments") };
        if target == "-" {
            for source in sources {
                to_stdout(Place::parse(cx, source)?).await?;
            }
            return Ok(());
        }
        let target_path = PathBuf::from(target);
        let into_folder = target.ends_with('/') || sources.len() > 1 || target_path.is_dir();
        if sources.len() > 1 && target_path.exists() && !target_path.is_dir() {
            bail!("More than one file to download, but target is not a directory");
        }
        if self.create_dirs {
            let folder = if into_folder { Some(target_path.as_path()) } else { target_path.parent() };
            if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
            }
        }
        for source in sources {
            let place = Place::parse(cx, source)?;
            let name = place.name().to_owned();
            let (place, found) = if self.recursive {
                fetch_followed(place).await?
            } else {
                let found = fetch(&place).await?;
                (place, found)
            };
            if found.kind == "directory" && !self.recursive {
                bail!("Can't pull a directory without --recursive");
            }
            let path =
                if into_folder || found.kind == "directory" { target_path.join(&name) } else { target_path.clone() };
            if path != target_path {
                not_a_link(&path)?;
            }
            pull(cx, &place, found, &path).await?;
        }
        Ok(())
    }
}

/// Takes away a link that an earlier pull may have left: whoever owns the instance chose where it leads.
fn not_a_link(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => std::fs::remove_file(path).with_context(local(path)),
        _ => Ok(()),
    }
}

async fn to_stdout(place: Place) -> Result<()> {
    let (_, found) = fetch_followed(place).await?;
    if found.kind == "directory" {
        bail!("Can't pull a directory without --recursive");
    }
    copy(found, tokio::io::stdout()).await
}

/// What is at `place`; of a link what it leads to, within the instance.
async fn fetch_followed(mut place: Place) -> Result<(Place, Found)> {
    const MOST: usize = 40; // as path_resolution(7)
    for _ in 0..MOST {
        let found = fetch(&place).await?;
        if found.kind != "symlink" {
            return Ok((place, found));
        }
        let target = found.answer.bytes().await?;
        let target = String::from_utf8_lossy(&target).into_owned();
        let folder = place.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if target.starts_with('/') { target } else { format!("{folder}/{target}") };
        place = Place { path, ..place };
    }
    bail!("too many links: the last one leads to `{}`", place.path)
}

/// Writes what was found at `place` to `path`; a folder with all that is in it.
async fn pull(cx: &Context, place: &Place, found: Found, path: &Path) -> Result<()> {
    let mode = found.mode;
    match found.kind.as_str() {
        "directory" => {
            std::fs::create_dir_all(path).with_context(local(path))?;
            for name in entries(found).await? {
                // A name with a slash would leave the folder.
                if name.contains('/') || name == ".." {
                    bail!("the instance has an entry `{name}`, which is not a file name");
                }
                let (child, path) = (place.child(&name), path.join(&name));
                let found = fetch(&child).await?;
                not_a_link(&path)?;
                Box::pin(pull(cx, &child, found, &path)).await?;
            }
        }
        "symlink" => {
            let target = found.answer.bytes().await?;
            let target = String::from_utf8_lossy(&target).into_owned();
            if path.symlink_metadata().is_ok() {
                std::fs::remove_file(path).with_context(local(path))?;
            }
            std::os::unix::fs::symlink(target.trim_end_matches('\n'), path).with_context(local(path))?;
            return Ok(());
        }
        _ => {
            cx.printer.progress(&format!("Pulling {} from {}", path.display(), place.path), "");
            let file =
                tokio::fs::File::create(path).await.with_context(|| format!("cannot create `{}`", path.display()))?;
            copy(found, file).await?;
            cx.printer.progress_done();
        }
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777)).with_context(local(path))
}

async fn copy(mut found: Found, mut target: impl AsyncWrite + Unpin) -> Result<()> {
    while let Some(frame) = found.answer.body.frame().await {
        if let Ok(bytes) = frame.context("the file broke off")?.into_data() {
            target.write_all(&bytes).await.context("cannot write the file")?;
        }
    }
    target.flush().await.context("cannot write the file")
}
