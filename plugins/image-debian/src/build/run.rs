//! The child process of a build: started, watched, and ended with all it started.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hull_plugin::{Code, DriverError};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::Recipe;
use super::progress::{Meter, Step};

const PROGRAM: &str = "mmdebstrap";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Without a line of output for this long a build hangs: apt gives up on a silent mirror after two minutes.
const SILENCE: Duration = Duration::from_secs(300);
/// Lines kept to say why a build failed.
const KEPT_LINES: usize = 30;
/// zstd's own default: faster than the disk, and unpacks at the same speed as any.
const COMPRESSION: i32 = 3;

/// One build: what, where, and into which file.
pub(crate) struct Build {
    pub(crate) recipe: Recipe,
    /// Exists, is empty, and belongs to this build.
    pub(crate) directory: PathBuf,
    pub(crate) rootfs: File,
}

/// Builds, and calls `on_step` when there is progress.
///
/// # Errors
/// `Unavailable`: mmdebstrap is not installed, or a mirror does not answer. `DeadlineExceeded`: it hangs. `NoSpace`.
pub(crate) async fn run(build: Build, mut on_step: impl AsyncFnMut(Step)) -> Result<(), DriverError> {
    let Build { recipe, directory, rootfs } = build;
    recipe.write(&directory).map_err(|error| DriverError::system(&error, "cannot prepare the build"))?;
    let mut child = start(&recipe, &directory).await?;
    let group = Group(child.id());
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(DriverError::internal(format!("`{PROGRAM}` has no output")));
    };
    let stdout =
        stdout.into_owned_fd().map_err(|error| DriverError::system(&error, "cannot read the build's output"))?;
    let packed = tokio::task::spawn_blocking(move || compress(File::from(stdout), rootfs));

    let watched = watch(stderr, &mut on_step).await;
    if watched.is_err() {
        drop(group);
        reap(&mut child).await;
        // The pipe's other end is closed with the last process of the group.
        let _ = packed.await;
        return watched.map(drop);
    }
    let log = watched?;
    let status =
        child.wait().await.map_err(|error| DriverError::system(&error, format!("cannot wait for `{PROGRAM}`")))?;
    drop(group);
    let packed = packed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    // A full disk at our end makes mmdebstrap fail too: our own error says more.
    packed.map_err(|error| DriverError::system(&error, "cannot write the root file system"))?;
    if status.success() { Ok(()) } else { Err(failure(status, &log)) }
}

async fn start(recipe: &Recipe, directory: &Path) -> Result<Child, DriverError> {
    let work = directory.join("work");
    std::fs::create_dir_all(&work).map_err(|error| DriverError::system(&error, "cannot prepare the build"))?;
    let spawned = Command::new(PROGRAM)
        .args(recipe.arguments(directory))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", &work)
        .env("TMPDIR", &work)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("SOURCE_DATE_EPOCH", recipe.edition.day.timestamp().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DriverError::new(Code::Unavailable, format!("`{PROGRAM}` is not installed"))
            .hint("apt-get install mmdebstrap debian-archive-keyring"),
        _ => DriverError::system(&error, format!("cannot start `{PROGRAM}`")),
    })
}

/// Follows the log to its end; returns its last lines.
async fn watch(stderr: ChildStderr, on_step: &mut impl AsyncFnMut(Step)) -> Result<VecDeque<String>, DriverError> {
    let mut lines = BufReader::new(stderr).lines();
    let (mut meter, mut kept) = (Meter::new(), VecDeque::new());
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, lines.next_line()) => next.map_err(|_| silent(&kept))?,
            () = hull_plugin::caller_left() => return Err(given_up()),
        };
        let Some(line) = next.map_err(|error| DriverError::system(&error, "cannot read the build's log"))? else {
            return Ok(kept);
        };
        tracing::debug!("{PROGRAM}: {line}");
        if let Some(step) = meter.step(&line) {
            on_step(step).await;
        }
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

fn compress(mut from: File, to: File) -> io::Result<()> {
    to.set_len(0)?;
    let mut encoder = zstd::Encoder::new(&to, COMPRESSION)?;
    encoder.include_checksum(true)?;
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

async fn reap(child: &mut Child) {
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "cannot reap `{PROGRAM}`");
    }
}

/// The process group of a build, killed when the build is given up in any way.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // ESRCH: all of them have ended.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Nobody waits for the image any more.
pub(crate) fn given_up() -> DriverError {
    DriverError::new(Code::Cancelled, "the build was cancelled")
}

fn silent(kept: &VecDeque<String>) -> DriverError {
    let error =
        DriverError::new(Code::DeadlineExceeded, format!("`{PROGRAM}` said nothing for {} s", SILENCE.as_secs()));
    match kept.back() {
        Some(line) => error.because(format!("its last line was `{line}`")),
        None => error,
    }
}

/// The lines that say why: apt's and mmdebstrap's errors, or else the last ones.
fn failure(status: ExitStatus, log: &VecDeque<String>) -> DriverError {
    let is_error =
        |line: &&String| line.starts_with("E: ") || line.starts_with("Err:") || line.starts_with("dpkg: error");
    let mut causes: Vec<String> = log.iter().filter(is_error).map(|line| line.trim().to_owned()).collect();
    if causes.is_empty() {
        causes = log.iter().rev().take(3).rev().map(|line| line.trim().to_owned()).collect();
    }
    let text = log.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let (code, hint) = if text.contains("No space left on device") {
        (Code::NoSpace, "free some space where Hull keeps its state: a build needs about 1 GiB")
    } else if ["Failed to fetch", "Temporary failure resolving", "Could not connect"]
        .iter()
        .any(|one| text.contains(one))
    {
        (
            Code::Unavailable,
            "see whether `apt-get update` works on this machine: images are built from the same mirrors",
        )
    } else if text.contains("NO_PUBKEY") {
        (Code::Unavailable, "apt-get install debian-archive-keyring")
    } else {
        (Code::Internal, "HULL_LOG=debug shows the whole log of the build")
    };
    let mut error = DriverError::new(code, format!("`{PROGRAM}` failed ({status})")).hint(hint);
    error.causes = causes;
    error
}
