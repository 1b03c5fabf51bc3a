//! Files into instances.

use super::place::Place;
use super::transfer::{Owner, is_folder, local, make_folders, put};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copy files into an instance
#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    #[arg(value_name = "FILE... [REMOTE:]INSTANCE/PATH", required = true, num_args = 2..)]
    words: Vec<String>,
    /// Make the folders on the way
    #[arg(short = 'p', long)]
    create_dirs: bool,
    /// Folders with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Owner of the file
    #[arg(long, allow_hyphen_values = true)]
    uid: Option<i64>,
    /// Group of the file
    #[arg(long, allow_hyphen_values = true)]
    gid: Option<i64>,
    /// Permissions of the file, octal
    #[arg(long)]
    mode: Option<String>,
}

impl Push {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let Some((target, sources)) = self.words.split_last() else { bail!("Invalid number of arguments") };
        let place = Place::parse(cx, target)?;
        let wanted = self.owner()?;
        let into_folder = target.ends_with('/') || sources.len() > 1 || (self.recursive) || is_folder(&place).await?;
        if self.create_dirs {
            let parent = place.path.trim_end_matches('/').rsplit_once('/').map_or("/", |(parent, _)| parent);
            let folder = if into_folder { place.clone() } else { Place { path: parent.to_owned(), ..place.clone() } };
            make_folders(&folder, Owner { mode: None, ..wanted }).await?;
        }
        for source in sources {
            let path = Path::new(source);
            let name = if source == "-" { "-".into() } else { path.file_name().unwrap_or_default().to_string_lossy() };
            let place = if into_folder { place.child(&name) } else { place.clone() };
            if source == "-" {
                put(&place, "file", wanted, tokio::io::stdin()).await?;
                continue;
            }
            if self.recursive {
                push(cx, path, &place, wanted).await?;
                continue;
            }
            let metadata = std::fs::metadata(path).with_context(|| format!("cannot read `{source}`"))?;
            if metadata.is_dir() {
                bail!("cannot push the folder `{source}`\nhint: --recursive pushes folders");
            }
            push_file(cx, path, &place, wanted.or_of(&metadata)).await?;
        }
        Ok(())
    }

    fn owner(&self) -> Result<Owner> {
        let mode = match &self.mode {
            None => None,
            Some(text) => Some(u32::from_str_radix(text, 8).with_context(|| format!("`{text}` is not an octal mode"))?),
        };
        let id = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        Ok(Owner { uid: id(self.uid), gid: id(self.gid), mode })
    }
}

/// Sends `path`; a folder with all that is in it. Links are sent as links.
async fn push(cx: &Context, path: &Path, place: &Place, wanted: Owner) -> Result<()> {
    let metadata = path.symlink_metadata().with_context(local(path))?;
    let found = wanted.or_of(&metadata);
    if metadata.is_dir() {
        let folder = Owner { mode: Some(metadata.permissions().mode() & 0o7777), ..found };
        put(place, "directory", folder, tokio::io::empty()).await?;
        for entry in std::fs::read_dir(path).with_context(local(path))? {
            let entry = entry.with_context(local(path))?;
            let child = place.child(&entry.file_name().to_string_lossy());
            Box::pin(push(cx, &entry.path(), &child, wanted)).await?;
        }
        return Ok(());
    }
    if metadata.is_symlink() {
        let target = std::fs::read_link(path).with_context(local(path))?;
        let target = target.to_string_lossy().into_owned();
        return put(place, "symlink", found, std::io::Cursor::new(target)).await;
    }
    if !metadata.is_file() {
        bail!("cannot push `{}`: it is neither a file, a folder nor a link", path.display());
    }
    push_file(cx, path, place, found).await
}

/// Sends what can be read at `path`; of a link what it leads to.
async fn push_file(cx: &Context, path: &Path, place: &Place, owner: Owner) -> Result<()> {
    cx.printer.progress(&format!("Pushing {} to {}", path.display(), place.path), "");
    let file = tokio::fs::File::open(path).await.with_context(local(path))?;
    put(place, "file", owner, file).await?;
    cx.printer.progress_done();
    Ok(())
}
