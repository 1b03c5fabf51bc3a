//! Single files, folders and links, in and out.

use super::place::Place;
use crate::client::{ApiError, Exchange, accepted, body_of, empty};
use anyhow::{Context as _, Result};
use http::{HeaderMap, Method};
use hull_api::Response;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tokio::io::AsyncRead;

/// What is at a place, with its body still on the wire.
pub(super) struct Found {
    pub(super) kind: String,
    pub(super) mode: u32,
    pub(super) answer: Exchange,
}

/// Opens `place` for reading.
pub(super) async fn fetch(place: &Place) -> Result<Found> {
    let answer = place.server.exchange(Method::GET, &place.url(), HeaderMap::new(), empty()).await?;
    if !answer.parts.status.is_success() {
        return Err(worded(accepted(answer).await.err()));
    }
    let kind = Some(answer.header("x-lxd-type")).filter(|kind| !kind.is_empty()).unwrap_or("file").to_owned();
    let mode = u32::from_str_radix(answer.header("x-lxd-mode").trim_start_matches("0o"), 8).unwrap_or(0o644);
    Ok(Found { kind, mode, answer })
}

/// The names in a folder.
pub(super) async fn entries(found: Found) -> Result<Vec<String>> {
    let bytes = found.answer.bytes().await?;
    Ok(serde_json::from_slice::<Response<Vec<String>>>(&bytes).context("the list of the folder is malformed")?.metadata)
}

/// Who a new file belongs to and what may be done with it; `None` leaves it to the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mode: Option<u32>,
}

impl Owner {
    /// What is not said, as the file with `metadata` has it.
    pub(super) fn or_of(self, metadata: &Metadata) -> Self {
        Self {
            uid: self.uid.or(Some(metadata.uid())),
            gid: self.gid.or(Some(metadata.gid())),
            mode: self.mode.or(Some(metadata.mode() & 0o7777)),
        }
    }
}

/// Makes a `file`, `directory` or `symlink` at `place`.
pub(super) async fn put(
    place: &Place,
    kind: &str,
    owner: Owner,
    content: impl AsyncRead + Send + Sync + 'static,
) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert("X-LXD-type", kind.parse()?);
    headers.insert("X-LXD-write", http::HeaderValue::from_static("overwrite"));
    headers.insert("Content-Type", http::HeaderValue::from_static("application/octet-stream"));
    if let Some(uid) = owner.uid {
        headers.insert("X-LXD-uid", uid.into());
    }
    if let Some(gid) = owner.gid {
        headers.insert("X-LXD-gid", gid.into());
    }
    if let Some(mode) = owner.mode {
        headers.insert("X-LXD-mode", format!("{mode:04o}").parse()?);
    }
    place.server.upload(&place.url(), headers, body_of(content)).await.map(drop).map_err(|error| worded(Some(error)))
}

/// Makes the folder at `place` and those above it, where they are missing.
pub(super) async fn make_folders(place: &Place, owner: Owner) -> Result<()> {
    let mut path = String::new();
    for part in place.path.split('/').filter(|part| !part.is_empty()) {
        path = format!("{path}/{part}");
        let folder = Place { path: path.clone(), ..place.clone() };
        match fetch(&folder).await {
            Ok(_) => {}
            Err(error) if ApiError::is_not_found(&error) => {
                let owner = Owner { mode: owner.mode.or(Some(0o755)), ..owner };
                put(&folder, "directory", owner, tokio::io::empty()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether `place` is a folder.
pub(super) async fn is_folder(place: &Place) -> Result<bool> {
    match fetch(place).await {
        Ok(found) => Ok(found.kind == "directory"),
        Err(error) if ApiError::is_not_found(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn local(path: &Path) -> impl FnOnce() -> String + '_ {
    move || format!("`{}`", path.display())
}

/// LXD's own words for a file that is not there.
fn worded(error: Option<anyhow::Error>) -> anyhow::Error {
    match error {
        Some(error) if ApiError::is_not_found(&error) => match error.downcast::<ApiError>() {
            Ok(refusal) if refusal.message == "not found" => ApiError { message: "Not Found".into(), ..refusal }.into(),
            Ok(refusal) => refusal.into(),
            Err(other) => other,
        },
        Some(error) => error,
        None => anyhow::anyhow!("the server refused the file without a reason"),
    }
}
