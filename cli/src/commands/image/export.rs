//! Writing an image to files.

use super::locate;
use crate::client::{accepted, empty};
use crate::commands::Exit;
use crate::context::Context;
use crate::interrupt::{INTERRUPTED, Interrupts};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// Write an image to its one or two files: the given one (the second ends in `.root`), or names of the server's in the given folder
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    target: Option<PathBuf>,
}

impl Export {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (mut files, mut interrupts) = (Vec::new(), Interrupts::listen()?);
        let result = tokio::select! {
            result = self.receive(cx, &mut files) => result,
            () = interrupts.next() => Err(Exit { status: INTERRUPTED, message: None }.into()),
        };
        cx.printer.progress_done();
        if result.is_err() {
            // Half an image does not stay; the first failure is the one to tell.
            for file in files.iter().filter(|file| file.is_file()) {
                let _ = std::fs::remove_file(file);
            }
            return result;
        }
        cx.printer.done("Image exported successfully!");
        Ok(())
    }

    /// Writes the image's files, and says which in `files`.
    async fn receive(&self, cx: &Context, files: &mut Vec<PathBuf>) -> Result<()> {
        let (server, path) = locate(cx, &self.image).await?;
        let mut answer = server.exchange(Method::GET, &format!("{path}/export"), HeaderMap::new(), empty()).await?;
        if !answer.parts.status.is_success() {
            return accepted(answer).await.map(drop);
        }
        let kind = answer.header("content-type").to_owned();
        if kind.starts_with("multipart/") {
            let boundary = multer::parse_boundary(&kind).context("the server's answer is malformed")?;
            return self.parts(cx, multer::Multipart::new(answer.body.into_data_stream(), boundary), files).await;
        }
        let target = target(self.target.as_deref(), &file_name(answer.header("content-disposition")));
        let next = async || match answer.body.frame().await.transpose()? {
            Some(frame) => Ok(Some(frame.into_data().unwrap_or_default())),
            None => Ok(None),
        };
        save(cx, target, files, next).await
    }

    /// Metadata and root file system, each in a file of its own.
    async fn parts(&self, cx: &Context, mut form: multer::Multipart<'_>, files: &mut Vec<PathBuf>) -> Result<()> {
        while let Some(mut part) = form.next_field().await.context("the image broke off")? {
            let offered = part.file_name().or(part.name()).and_then(|name| Path::new(name).file_name());
            let offered = offered.unwrap_or(OsStr::new("image"));
            let target = match &self.target {
                None => PathBuf::from(offered),
                Some(wanted) if wanted.is_dir() => wanted.join(offered),
                Some(wanted) if part.name() == Some("metadata") => wanted.clone(),
                Some(wanted) => with_ending(wanted, ".root"),
            };
            save(cx, target, files, async || Ok(part.chunk().await?)).await?;
        }
        Ok(())
    }
}

/// Writes what `next` gives up to the end.
async fn save(
    cx: &Context,
    target: PathBuf,
    files: &mut Vec<PathBuf>,
    mut next: impl AsyncFnMut() -> Result<Option<Bytes>>,
) -> Result<()> {
    let cannot = |what: &str| format!("cannot {what} `{}`", target.display());
    let mut file = tokio::fs::File::create(&target).await.with_context(|| cannot("create"))?;
    files.push(target.clone());
    let mut written = 0;
    while let Some(bytes) = next().await.context("the image broke off")? {
        file.write_all(&bytes).await.with_context(|| cannot("write"))?;
        written += bytes.len() as i64;
        cx.printer.progress("Exporting the image", &crate::output::si(written));
    }
    file.flush().await.with_context(|| cannot("write"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Into a folder by the server's name; next to a given name with the server's ending.
fn target(wanted: Option<&Path>, offered: &str) -> PathBuf {
    let Some(wanted) = wanted else { return PathBuf::from(offered) };
    if wanted.is_dir() {
        return wanted.join(offered);
    }
    with_ending(wanted, offered.find('.').map_or("", |dot| &offered[dot..]))
}

/// The last part of `filename=` of a Content-Disposition: never a path.
fn file_name(disposition: &str) -> String {
    let name = disposition.split("filename=").nth(1).unwrap_or("image").trim_matches(['"', ' ', ';']);
    Path::new(name).file_name().map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_name_is_never_a_path() {
        assert_eq!(file_name("inline;filename=\"../../etc/passwd\""), "passwd");
        assert_eq!(target(Some(Path::new("/nonexistent/x1")), "abc.tar.gz"), PathBuf::from("/nonexistent/x1.tar.gz"));
    }
}
