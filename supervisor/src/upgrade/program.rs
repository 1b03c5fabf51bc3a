//! The program that is to succeed this one: is it hulld, of which version, and complete?

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::api::ApiError;

/// Saying its version takes a program milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// A version is shorter.
const LONGEST: u64 = 128;
/// Asked for its version, the program needs no rights.
const NOBODY: u32 = 65_534;

/// An executable that says a version as hulld does. The open file is what will run, whatever happens to the path.
pub(super) struct Program {
    file: File,
    pub(super) path: PathBuf,
    pub(super) version: String,
}

impl Program {
    /// # Errors
    /// It is not there, or does not behave like hulld.
    pub(super) async fn open(path: &Path) -> Result<Self, ApiError> {
        let refused = |why: &dyn std::fmt::Display| {
            ApiError::bad_request(format!("`{}` cannot succeed this hulld: {why}", path.display()))
        };
        let file = File::open(path).map_err(|error| refused(&error))?;
        if !file.metadata().is_ok_and(|status| status.is_file()) {
            return Err(refused(&"it is not a file"));
        }
        let said = tokio::time::timeout(PATIENCE, said_version(&file)).await;
        let said = said.map_err(|_| refused(&format!("it does not say its version within {PATIENCE:?}")))?;
        let said = said.map_err(|error| refused(&format!("it cannot be run: {error}")))?;
        let version = version_of(&said).ok_or_else(|| refused(&"asked for its version, it says something else"))?;
        Ok(Self { version: version.to_owned(), path: path.to_owned(), file })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

async fn said_version(file: &File) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .arg0("hulld")
        .arg("--version")
        .env_clear()
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(LONGEST).read_to_end(&mut said).await?;
    }
    let status = child.wait().await?;
    if status.success() { Ok(said) } else { Err(std::io::Error::other(format!("asked for its version, {status}"))) }
}

/// `1.2.3` and nothing else on one line.
fn version_of(said: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(said).ok()?.strip_suffix('\n')?;
    let (numbers, _suffix) = line.split_once(['-', '+']).unwrap_or((line, ""));
    let mut parts = numbers.split('.');
    let three = (&mut parts).take(3).filter(|part| part.parse::<u32>().is_ok()).count() == 3;
    let clean = line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte));
    (three && parts.next().is_none() && clean).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_three_numbers_on_a_line() {
        assert_eq!(version_of(b"0.1.0\n"), Some("0.1.0"));
        assert_eq!(version_of(b"1.20.3-rc1+git\n"), Some("1.20.3-rc1+git"));
        for other in ["", "0.1.0", "0.1\n", "0.1.0.0\n", "true (GNU coreutils) 9.1\n", "1.0.0\nmore\n", "1.0.0 \n"] {
            assert_eq!(version_of(other.as_bytes()), None, "{other:?}");
        }
    }

    #[tokio::test]
    async fn another_program_is_refused_with_the_reason() {
        for (path, why) in [("/bin/true", "something else"), ("/bin", "not a file"), ("/none", "No such file")] {
            let error = Program::open(Path::new(path)).await.map(|program| program.version).unwrap_err();
            assert!(error.message.contains(why), "{path}: {}", error.message);
        }
    }
}
