//! Writing an image to files.

use super::locate;
use crate::client::{accepted, empty};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// Write an image to a file: the given one, or a name of the server's in the given folder
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    target: Option<PathBuf>,
}

impl Export {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, path) = locate(cx, &self.image).await?;
        let mut answer = server.exchange(Method::GET, &format!("{path}/export"), HeaderMap::new(), empty()).await?;
        if !answer.parts.status.is_success() {
            return accepted(answer).await.map(drop);
        }
        if answer.header("content-type").starts_with("multipart/") {
            bail!(
                "cannot export `{}`: its metadata and root file system are separate files, which this version does not split",
                self.image
            );
        }
        let offered = file_name(answer.header("content-disposition"));
        let target = target(self.target, &offered);
        let mut file =
            tokio::fs::File::create(&target).await.with_context(|| format!("cannot create `{}`", target.display()))?;
        let mut written = 0u64;
        while let Some(frame) = answer.body.frame().await {
            if let Ok(bytes) = frame.context("the image broke off")?.into_data() {
                file.write_all(&bytes).await.with_context(|| format!("cannot write `{}`", target.display()))?;
                written += bytes.len() as u64;
                cx.printer
                    .progress("Exporting the image", &crate::output::si(i64::try_from(written).unwrap_or(i64::MAX)));
            }
        }
        file.flush().await.with_context(|| format!("cannot write `{}`", target.display()))?;
        cx.printer.progress_done();
        cx.printer.done("Image exported successfully!");
        Ok(())
    }
}

/// Into a folder by the server's name; next to a given name with the server's ending.
fn target(wanted: Option<PathBuf>, offered: &str) -> PathBuf {
    let Some(wanted) = wanted else { return PathBuf::from(offered) };
    if wanted.is_dir() {
        return wanted.join(offered);
    }
    let ending = offered.find('.').map_or("", |dot| &offered[dot..]);
    let mut name = wanted.into_os_string();
    name.push(ending);
    PathBuf::from(name)
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
        assert_eq!(target(Some("/nonexistent/x1".into()), "abc.tar.gz"), PathBuf::from("/nonexistent/x1.tar.gz"));
    }
}
