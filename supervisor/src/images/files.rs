//! The files of images: `HULL_DIR/images/FINGERPRINT` and, for split images, `FINGERPRINT.rootfs`. Root's alone.
//!
//! A file comes into being without a name, is filled by a driver through its descriptor, and gets its name when all is
//! known about it: until then a crash leaves nothing.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use hull_plugin::image::ImageSinks;
use hull_plugin::{FileFd, Fingerprint};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

/// One directory; all work is relative to its descriptor.
#[derive(Debug)]
pub(crate) struct ImageDirectory {
    path: PathBuf,
    directory: File,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("cannot {what} in the image directory `{}`", path.display())]
    Io { what: String, path: PathBuf, source: io::Error },
}

/// Two nameless files for a driver to fill.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) metadata: File,
    pub(super) rootfs: File,
}

/// The files of an image, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) metadata: File,
    pub(super) rootfs: Option<File>,
}

impl Sinks {
    /// What the driver is given.
    pub(super) fn lent(&self) -> io::Result<ImageSinks> {
        Ok(ImageSinks {
            metadata: FileFd::new(self.metadata.try_clone()?),
            rootfs: FileFd::new(self.rootfs.try_clone()?),
        })
    }
}

impl ImageDirectory {
    /// Makes it if need be.
    pub(super) fn open(path: &Path) -> Result<Self, FilesError> {
        let error = |source| FilesError::Io { what: "work".into(), path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(error)?;
        let directory =
            open(path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| error(errno.into()))?;
        Ok(Self { path: path.to_owned(), directory: directory.into() })
    }

    /// Removes every file whose image is not `known`.
    pub(super) fn sweep(&self, known: impl Fn(&Fingerprint) -> bool) -> Result<(), FilesError> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| self.error("list the files", error))?;
        for entry in entries {
            let name = entry.map_err(|error| self.error("list the files", error))?.file_name();
            let stem = name.to_str().map(|name| name.strip_suffix(".rootfs").unwrap_or(name));
            let fingerprint = stem.and_then(|stem| Fingerprint::new(stem).ok());
            if fingerprint.is_some_and(|fingerprint| known(&fingerprint)) {
                continue;
            }
            tracing::info!(file = %name.display(), "removing a file that no image owns");
            self.unlink(Path::new(&name))?;
        }
        Ok(())
    }

    pub(super) fn sinks(&self) -> Result<Sinks, FilesError> {
        Ok(Sinks { metadata: self.nameless()?, rootfs: self.nameless()? })
    }

    /// Gives filled files their names, durably. What has the names already is replaced.
    pub(super) fn place(&self, fingerprint: &Fingerprint, sinks: &Sinks, split: bool) -> Result<(), FilesError> {
        self.link(&sinks.metadata, &metadata_name(fingerprint))?;
        if split {
            self.link(&sinks.rootfs, &rootfs_name(fingerprint))?;
        }
        self.directory.sync_all().map_err(|error| self.error("make new names durable", error))
    }

    /// With the first file the image is gone: the other, if it cannot be removed now, is swept at the next start.
    pub(super) fn remove(&self, fingerprint: &Fingerprint) -> Result<(), FilesError> {
        self.unlink(Path::new(&metadata_name(fingerprint)))?;
        if let Err(error) = self.unlink(Path::new(&rootfs_name(fingerprint))) {
            tracing::warn!(%fingerprint, error = crate::plugins::chain(&error), "a file of a removed image stays");
        }
        Ok(())
    }

    pub(super) fn opened(&self, fingerprint: &Fingerprint, split: bool) -> Result<Opened, FilesError> {
        let metadata = self.existing(&metadata_name(fingerprint))?;
        let rootfs = split.then(|| self.existing(&rootfs_name(fingerprint))).transpose()?;
        Ok(Opened { metadata, rootfs })
    }

    fn nameless(&self) -> Result<File, FilesError> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let made = openat(&self.directory, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR);
        made.map(File::from).map_err(|errno| self.error("make a file", errno.into()))
    }

    fn link(&self, file: &File, name: &str) -> Result<(), FilesError> {
        file.sync_all().map_err(|error| self.error("make a new file durable", error))?;
        match self.linkat(file, name) {
            Err(Errno::EEXIST) if self.is(name, file)? => Ok(()),
            Err(Errno::EEXIST) => {
                self.unlink(Path::new(name))?;
                self.linkat(file, name)
            }
            other => other,
        }
        .map_err(|errno| self.error(&format!("name a file `{name}`"), errno.into()))
    }

    fn linkat(&self, file: &File, name: &str) -> nix::Result<()> {
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(AT_FDCWD, own.as_str(), &self.directory, name, AtFlags::AT_SYMLINK_FOLLOW)
    }

    /// Whether the file has this name already. A nameless file can be named only once in its life.
    fn is(&self, name: &str, file: &File) -> Result<bool, FilesError> {
        let look = |file: &File| file.metadata().map_err(|error| self.error("look at a file", error));
        let (named, own) = (look(&self.existing(name)?)?, look(file)?);
        Ok((named.dev(), named.ino()) == (own.dev(), own.ino()))
    }

    fn unlink(&self, name: &Path) -> Result<(), FilesError> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.error(&format!("remove `{}`", name.display()), errno.into())),
        }
    }

    fn existing(&self, name: &str) -> Result<File, FilesError> {
        let opened =
            openat(&self.directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty());
        opened.map(File::from).map_err(|errno| self.error(&format!("open `{name}`"), errno.into()))
    }

    fn error(&self, what: &str, source: io::Error) -> FilesError {
        FilesError::Io { what: what.to_owned(), path: self.path.clone(), source }
    }
}

/// The suffix that a file of this kind has by custom, from its first bytes.
pub(super) fn suffix(file: &File) -> &'static str {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 6];
    match file.read_at(&mut start, 0) {
        Ok(_) => suffix_of(&start),
        Err(_) => "",
    }
}

fn suffix_of(start: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 6] = [
        (&[0x1f, 0x8b], ".tar.gz"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], ".tar.xz"),
        (&[0x28, 0xb5, 0x2f, 0xfd], ".tar.zst"),
        (b"BZh", ".tar.bz2"),
        (b"hsqs", ".squashfs"),
        (b"QFI\xfb", ".qcow2"),
    ];
    KNOWN.iter().find(|(magic, _)| start.starts_with(magic)).map_or(".tar", |(_, suffix)| suffix)
}

fn metadata_name(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string()
}

fn rootfs_name(fingerprint: &Fingerprint) -> String {
    format!("{fingerprint}.rootfs")
}

impl From<FilesError> for crate::api::ApiError {
    fn from(error: FilesError) -> Self {
        let FilesError::Io { source, .. } = &error;
        let status = match source.raw_os_error() {
            Some(nix::libc::ENOSPC | nix::libc::EDQUOT) => http::StatusCode::INSUFFICIENT_STORAGE,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("{error}: {source}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn fingerprint(digit: &str) -> Fingerprint {
        Fingerprint::new(digit.repeat(64)).unwrap()
    }

    #[test]
    fn a_file_has_no_name_until_it_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        let directory = ImageDirectory::open(&path).unwrap();
        let mut sinks = directory.sinks().unwrap();
        sinks.metadata.write_all(b"meta").unwrap();
        sinks.rootfs.write_all(b"hsqsroot").unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);

        directory.place(&fingerprint("a"), &sinks, true).unwrap();
        directory.place(&fingerprint("a"), &sinks, true).unwrap(); // again: no error
        let opened = directory.opened(&fingerprint("a"), true).unwrap();
        assert_eq!(suffix(&opened.rootfs.unwrap()), ".squashfs");
        assert_eq!(std::fs::metadata(path.join("a".repeat(64))).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);

        directory.remove(&fingerprint("a")).unwrap();
        directory.remove(&fingerprint("a")).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn an_image_is_whole_or_gone_whichever_file_cannot_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let directory = ImageDirectory::open(folder.path()).unwrap();
        let (first, second) = (folder.path().join("a".repeat(64)), folder.path().join("a".repeat(64) + ".rootfs"));
        std::fs::create_dir(&first).unwrap();
        std::fs::write(&second, "root").unwrap();
        assert!(directory.remove(&fingerprint("a")).is_err());
        assert!(second.exists(), "nothing is lost of an image that stays");

        std::fs::remove_dir(&first).unwrap();
        std::fs::remove_file(&second).unwrap();
        std::fs::write(&first, "meta").unwrap();
        std::fs::create_dir(&second).unwrap();
        directory.remove(&fingerprint("a")).unwrap();
        assert!(!first.exists());
    }

    #[test]
    fn the_sweep_takes_what_nobody_owns() {
        let folder = tempfile::tempdir().unwrap();
        let directory = ImageDirectory::open(folder.path()).unwrap();
        for name in ["a".repeat(64), format!("{}.rootfs", "a".repeat(64)), "b".repeat(64), "half-made".to_owned()] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        directory.sweep(|one| *one == fingerprint("a")).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a".repeat(64), format!("{}.rootfs", "a".repeat(64))].map(std::ffi::OsString::from));
    }

    #[test]
    fn kinds_of_files_are_known_by_their_start() {
        assert_eq!(suffix_of(&[0x1f, 0x8b, 8, 0, 0, 0]), ".tar.gz");
        assert_eq!(suffix_of(b"hsqs\0\0"), ".squashfs");
        assert_eq!(suffix_of(b"metada"), ".tar");
    }
}
