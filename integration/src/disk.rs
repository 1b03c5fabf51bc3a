//! A disk of a story's own: an ext4 file system in a file, of which one can take what has reached the medium.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::run;

/// See the module. Dropped, it is unmounted.
pub struct Disk {
    file: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// A new file system of so many MiB, mounted at `at`. The kernel writes back nothing on its own for ten minutes: what is
    /// not flushed is lost in a power cut.
    pub fn new(file: &Path, at: &Path, mebibytes: u64) -> Result<Self> {
        std::fs::File::create(file)?.set_len(mebibytes << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0"]).arg(file), "")?.ok()?;
        Self::mounted(file, at)
    }

    /// The file system in `file`, as a restart of the host mounts it.
    pub fn mounted(file: &Path, at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        run(Command::new("mount").args(["-o", "loop,data=ordered,commit=600,noatime"]).arg(file).arg(at), "")?.ok()?;
        // The directory of a daemon: users of instances must get through it.
        std::fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { file: file.to_owned(), at: at.to_owned() })
    }

    /// Copies to `copy` what has reached the medium: a power cut at this moment. Nobody may be writing (see
    /// [`crate::Host::halted`]); what is under way in the kernel is waited for.
    pub fn cut(&self, copy: &Path) -> Result<()> {
        for _ in 0..50 {
            let before = self.changed()?;
            run(Command::new("cp").args(["--sparse=always"]).arg(&self.file).arg(copy), "")?.ok()?;
            std::thread::sleep(Duration::from_millis(15)); // the grain of the file's times
            if self.changed()? == before {
                return Ok(());
            }
        }
        bail!("somebody goes on writing to {:?}", self.file)
    }

    fn changed(&self) -> Result<(i64, i64, u64)> {
        let status = std::fs::metadata(&self.file)?;
        Ok((status.mtime(), status.mtime_nsec(), status.blocks()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for _ in 0..50 {
            match run(Command::new("umount").arg(&self.at), "") {
                Ok(done) if done.status == 0 => return,
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        eprintln!("cannot unmount the story's disk {:?}", self.at);
    }
}
