//! Making a volume: in `making`, then into its place by one rename.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hull_image_format::{Image, Limits, Meter, copy_tree, remove_tree, unpack};
use hull_plugin::{Code, DriverError, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, RenameFlags, renameat2};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::failure::{failure, refused};
use crate::pool::{Made, Pool};

use super::record::{Layout, RECORD, Record, Source};

/// What a volume is filled with, ready for another thread.
pub(crate) enum Filling {
    Empty,
    Image { metadata: File, rootfs: Option<File>, limits: Limits },
    Volume(VolumeName),
}

impl Filling {
    fn source(&self) -> Source {
        match self {
            Self::Empty => Source::Empty,
            Self::Image { .. } => Source::Image,
            Self::Volume(name) => Source::Volume(name.clone()),
        }
    }
}

/// Makes the volume unless it is there; making it durable is the caller's. The caller holds the volume's lock, and the source's.
pub(crate) fn create(
    pool: &Arc<Pool>,
    volume: &VolumeName,
    filling: &Filling,
    meter: &Meter,
) -> Result<(), DriverError> {
    if let Some(directory) = pool.find(volume)? {
        return same(volume, &directory, &filling.source());
    }
    let made = pool.make()?;
    let result = fill(pool, &made.directory, volume, filling, meter)
        .and_then(|()| Record::new(filling.source()).write(&made.directory))
        .and_then(|()| settle(pool, &made, volume));
    let Err(mut error) = result else { return Ok(()) };
    let name = std::ffi::CString::new(made.name.as_str()).unwrap_or_default(); // a UUID
    if let Err(left) = remove_tree(&pool.making, &name, &Meter::default()) {
        error = error.because(failure(left, format!("`making/{}` is left until the pool is opened again", made.name)));
    }
    Err(error)
}

fn same(volume: &VolumeName, directory: &OwnedFd, source: &Source) -> Result<(), DriverError> {
    match Record::read(directory)? {
        Some(record) if record.source != *source => {
            let message = format!("volume `{volume}` exists, made from something else");
            Err(DriverError::new(Code::AlreadyExists, message))
        }
        _ => Ok(()),
    }
}

fn fill(pool: &Pool, into: &OwnedFd, volume: &VolumeName, filling: &Filling, meter: &Meter) -> Result<(), DriverError> {
    match filling {
        Filling::Empty => {
            let content = Layout::of(volume).content();
            let mode = if Layout::of(volume) == Layout::Instance { 0o755 } else { 0o711 };
            let refused = |error| refused(error, format!("cannot make volume `{volume}`"));
            let directory = crate::pool::ensure_directory(into, content).map_err(refused)?;
            fchmod(&directory, Mode::from_bits_truncate(mode)).map_err(refused)
        }
        Filling::Image { metadata, rootfs, limits } => {
            if Layout::of(volume) != Layout::Instance {
                let message = format!("volume `{volume}` cannot be made from an image: only containers and images can");
                return Err(DriverError::new(Code::Unsupported, message));
            }
            let image = Image { metadata, rootfs: rootfs.as_ref() };
            unpack(image, into.as_fd(), *limits, meter)
                .map_err(|error| failure(error, format!("cannot unpack the image into volume `{volume}`")))
        }
        Filling::Volume(source) => copy(pool, into, volume, source, meter),
    }
}

fn copy(
    pool: &Pool,
    into: &OwnedFd,
    volume: &VolumeName,
    source: &VolumeName,
    meter: &Meter,
) -> Result<(), DriverError> {
    let what = || format!("cannot copy volume `{source}` to `{volume}`");
    if Layout::of(volume) != Layout::of(source) {
        return Err(DriverError::new(Code::Unsupported, what()).because("one is an instance's, the other is not"));
    }
    let from = pool.require(source).map_err(|error| error.context(what()))?;
    // Another process of this driver may serve by now, and not know what this one reads.
    let lock = from.try_clone().map_err(|error| DriverError::system(&error, what()))?;
    let _read = Flock::lock(lock, FlockArg::LockShared).map_err(|(_, error)| refused(error, what()))?;
    let to = into.try_clone().map_err(|error| DriverError::system(&error, what()))?;
    copy_tree(from, to, meter).map_err(|error| failure(error, what()))?;
    match unlinkat(into, RECORD, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()), // the source's; the copy gets its own
        Err(error) => Err(refused(error, what())),
    }
}

/// Into its place. Nobody is told so before [`Pool::make_durable`]: until then a power failure may take it, or parts of it.
fn settle(pool: &Pool, made: &Made, volume: &VolumeName) -> Result<(), DriverError> {
    let what = |error| refused(error, format!("cannot put volume `{volume}` in its place"));
    let kind = pool.kind(volume)?;
    renameat2(&pool.making, made.name.as_str(), &kind, volume.parts().1, RenameFlags::RENAME_NOREPLACE).map_err(what)
}
