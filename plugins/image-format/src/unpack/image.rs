//! The whole of an image.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, fstatat};

use crate::compression::{Compression, Format, detect, open};
use crate::error::{Doing, Error, Result};
use crate::meter::{Bounded, Budget, Limits, Meter};
use crate::tree::{Attributes, adopt_directory, finish_directory, make_directory};

use super::squashfs;
use super::tarball::{self, Scope};

/// An image's files; both are read from their start, whatever their offsets.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// The unified tarball, or the metadata tarball of a split image.
    pub metadata: &'a File,
    /// The root file system of a split image.
    pub rootfs: Option<&'a File>,
}

/// Makes `metadata.yaml`, `rootfs/` and `templates/` (if the image has some) in the empty directory `into`.
///
/// # Errors
/// `Corrupt`: damaged, climbing out of its root or beyond `limits`. `Unsupported`: a virtual machine's disk.
pub fn unpack(image: Image, into: BorrowedFd, limits: Limits, meter: &Meter) -> Result<()> {
    own_modes();
    let budget = Budget::new(limits);
    for file in std::iter::once(image.metadata).chain(image.rootfs) {
        meter.expect(file.metadata().map_or(0, |status| status.len()));
    }
    let scope = if image.rootfs.is_some() { Scope::MetadataOnly } else { Scope::Unified };
    let mut devices = match detect(image.metadata)? {
        Format::Tar(compression) => tar(image.metadata, compression, into, scope, &budget, meter)?,
        _ => return Err(Error::corrupt("the image has no metadata: it must be a tarball with a metadata.yaml")),
    };
    if let Some(rootfs) = image.rootfs {
        devices = unpack_rootfs(rootfs, into, &budget, meter)?;
    }
    if devices > 0 {
        tracing::info!(devices, "the image's device nodes are left out");
    }
    require(into, c"metadata.yaml", "it has no metadata.yaml")?;
    require(into, c"rootfs", "it has no root file system")
}

/// Modes come from the archive: a mask would have to be undone file by file. Process-wide, and meant to be.
pub(crate) fn own_modes() {
    nix::sys::stat::umask(Mode::empty());
}

/// Returns how many device nodes were left out.
fn unpack_rootfs(file: &File, into: BorrowedFd, budget: &Budget, meter: &Meter) -> Result<u64> {
    let format = detect(file)?;
    if format == Format::Qcow2 {
        return Err(Error::Unsupported("the image is a virtual machine's disk, not a container's file system".into()));
    }
    make_directory(into, c"rootfs").doing("make the directory", b"rootfs")?;
    let root = adopt_directory(into, c"rootfs").doing("open the directory", b"rootfs")?;
    match format {
        Format::Tar(compression) => {
            finish_directory(root.as_fd(), &Attributes::plain(0o755), b"rootfs")?; // until its own entry comes
            tar(file, compression, root.as_fd(), Scope::Rootfs, budget, meter)
        }
        _ => squashfs::unpack(file, root.as_fd(), budget, meter),
    }
}

/// Unpacks a tarball; a compressed one is decompressed in a thread of its own. Returns how many device nodes were left out.
fn tar(
    file: &File,
    compression: Compression,
    into: BorrowedFd,
    scope: Scope,
    budget: &Budget,
    meter: &Meter,
) -> Result<u64> {
    let stream = Bounded { input: open(file, compression, meter)?, left: budget.longest_stream(), meter };
    if compression == Compression::None {
        return tarball::unpack(stream, into, scope, budget, meter);
    }
    std::thread::scope(|scope_| {
        let ahead = crate::ahead::ReadAhead::start(scope_, stream);
        tarball::unpack(ahead, into, scope, budget, meter)
    })
}

fn require(into: BorrowedFd, name: &std::ffi::CStr, complaint: &str) -> Result<()> {
    match fstatat(into, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(()),
        Err(Errno::ENOENT) => Err(Error::Corrupt(format!("this is no image: {complaint}"))),
        Err(error) => Err(crate::error::system("look at", name.to_bytes(), error)),
    }
}
