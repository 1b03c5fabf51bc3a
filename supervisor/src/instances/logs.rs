//! An instance's log files: why its last start failed, and what recorded commands printed.
//!
//! They are in `HULL_DIR/logs/INSTANCE`, which goes with the instance and is renamed with it. Names are checked before they become
//! paths. Bytes of a tenant are copied, never read.

use std::io;
use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use chrono::Utc;
use hull_plugin::{FileFd, OperationId, StreamFd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::model::InstanceName;
use super::registry::Entry;
use crate::api::{ApiError, Reply, empty, sync};
use crate::gateway::descriptor_response;
use crate::hull::Hull;

/// Why the last start failed. LXD's name: clients ask for it.
const LOG: &str = "lxc.log";
/// A recorded command may print this much on each stream; the rest is dropped.
const LONGEST_RECORDING: u64 = 64 << 20;
const CHUNK: usize = 64 << 10;

/// `GET …/logs`
pub(super) async fn list(hull: &Hull, entry: &Entry) -> Reply {
    let name = entry.record().name.clone();
    let folder = folder(hull, &name);
    let names = blocking(move || match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect(),
    });
    let mut names: Vec<String> = names.await?;
    names.sort();
    sync(&names.iter().map(|file| url(&name, file)).collect::<Vec<_>>())
}

/// `GET …/logs/FILE`
pub(super) async fn read(hull: &Hull, entry: &Entry, file: &str) -> Reply {
    let name = entry.record().name.clone();
    let path = folder(hull, &name).join(checked(file)?);
    let opened = blocking(move || {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    let opened = match opened.await {
        // An instance that has not been started yet has an empty log.
        Err(error) if error.status == http::StatusCode::NOT_FOUND && file == LOG => None,
        other => Some(other?),
    };
    hull.events.lifecycle("instance-log-retrieved", &url(&name, file));
    let body = match opened {
        Some((file, length)) => {
            descriptor_response(hull_gateway_contract::ReplyBody::File { file: FileFd::new(file), start: 0, length })
        }
        None => Response::default(),
    };
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("content-disposition", format!("inline;filename={file}")),
    ];
    Ok((headers, body).into_response())
}

/// `DELETE …/logs/FILE`
pub(super) async fn delete(hull: &Hull, entry: &Entry, file: &str) -> Reply {
    let name = entry.record().name.clone();
    let path = folder(hull, &name).join(checked(file)?);
    if matches!(file, "lxc.log" | "lxc.conf" | "qemu.log") {
        return Err(ApiError::bad_request("Only log files excluding lxc.log, lxc.conf and qemu.log may be deleted"));
    }
    blocking(move || std::fs::remove_file(path)).await?;
    hull.events.lifecycle("instance-log-deleted", &url(&name, file));
    empty()
}

/// Keeps why the last start failed: clients point their users there.
pub(super) async fn note_failure(hull: &Hull, name: &InstanceName, why: &ApiError) {
    let line = format!("{} cannot start: {why}\n", Utc::now().to_rfc3339());
    let folder = folder(hull, name);
    let written = blocking(move || {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(LOG), line)
    });
    if let Err(error) = written.await {
        tracing::warn!(instance = %name, %error, "cannot write the instance's log");
    }
}

/// The instance is gone: so are its logs.
pub(super) fn removed(hull: &Hull, name: &InstanceName) {
    let folder = folder(hull, name);
    hull.tasks.spawn_blocking(move || match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "cannot delete the logs of a deleted instance");
        }
        _ => {}
    });
}

/// The logs follow the instance to its new name.
pub(super) fn renamed(hull: &Hull, from: &InstanceName, to: &InstanceName) {
    let (from, to) = (folder(hull, from), folder(hull, to));
    hull.tasks.spawn_blocking(move || match std::fs::rename(&from, &to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %from.display(), %error, "cannot rename the logs of a renamed instance");
        }
        _ => {}
    });
}

/// What one command prints on one stream, on its way to a file. The command has a pipe, never the file.
pub(super) struct Recording {
    copying: tokio::task::JoinHandle<io::Result<()>>,
    ended: CancellationToken,
}

impl Recording {
    /// Begins to record; the command gets the end that is returned, clients find the file at the URL.
    pub(super) async fn start(
        hull: &Hull,
        name: &InstanceName,
        operation: &OperationId,
        stream: &str,
    ) -> Result<(Self, StreamFd, String), ApiError> {
        let (folder, file) = (folder(hull, name), format!("exec_{operation}.{stream}"));
        let path = folder.join(&file);
        let opened = blocking(move || {
            std::fs::create_dir_all(folder)?;
            use std::os::unix::fs::OpenOptionsExt;
            std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)
        });
        let target = tokio::fs::File::from_std(opened.await?);
        let (reader, writer) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| failed(&error.into()))?;
        let reader = pipe::Receiver::from_owned_fd(reader).map_err(|error| failed(&error))?;
        let ended = CancellationToken::new();
        let copying = tokio::spawn(copy(reader, target, ended.clone()));
        Ok((Self { copying, ended }, StreamFd::new(writer), url(name, &file)))
    }

    /// The command has ended: takes what is left in the pipe. Whatever it left behind in the background is not waited for.
    pub(super) async fn finish(self) -> Result<(), ApiError> {
        self.ended.cancel();
        let copied = self.copying.await.map_err(|error| ApiError::internal(error.to_string()))?;
        copied.map_err(|error| failed(&error))
    }
}

async fn copy(mut reader: pipe::Receiver, mut target: tokio::fs::File, ended: CancellationToken) -> io::Result<()> {
    let (mut chunk, mut room) = (vec![0; CHUNK], LONGEST_RECORDING);
    loop {
        let length = tokio::select! {
            biased;
            length = reader.read(&mut chunk) => length?,
            () = ended.cancelled() => 0,
        };
        if length == 0 {
            return target.flush().await;
        }
        let kept = length.min(usize::try_from(room).unwrap_or(usize::MAX));
        target.write_all(&chunk[..kept]).await?;
        room -= kept as u64;
    }
}

fn folder(hull: &Hull, name: &InstanceName) -> PathBuf {
    hull.directory.join("logs").join(name.as_str())
}

fn url(name: &InstanceName, file: &str) -> String {
    format!("{}/logs/{file}", name.url())
}

/// LXD's rule for names of log files; none of them can climb.
fn checked(file: &str) -> Result<&str, ApiError> {
    let known = matches!(file, "lxc.log" | "lxc.conf" | "qemu.log")
        || ["migration_", "snapshot_", "exec_"].iter().any(|prefix| file.starts_with(prefix));
    if known && !file.contains('/') {
        return Ok(file);
    }
    Err(ApiError::bad_request(format!("Log file name \"{file}\" not valid")))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error.to_string()))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ApiError::not_found("Not Found"),
        _ => failed(&error),
    })
}

fn failed(error: &io::Error) -> ApiError {
    ApiError::internal(format!("cannot use the instance's logs: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logs_cannot_climb() {
        for good in ["lxc.log", "exec_5542c2a7.stdout"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "x.log", "exec_/../../database", "../lxc.log"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
