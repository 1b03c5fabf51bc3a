//! A file system that never answers: what looks something up in it waits in the kernel, and no signal ends the wait.
//!
//! FUSE, spoken raw. A request that has been read and not been answered holds its process, SIGKILL or not.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Operations, and their numbers in `linux/fuse.h`.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
/// The head of a request: length, operation, id, node, user, group, process, and padding.
const HEAD: usize = 40;
const LARGEST: usize = 1 << 20;

/// The mounted file system; unmounted when dropped, with everybody let go.
pub(super) struct Stuck {
    place: PathBuf,
    device: Arc<File>,
    held: Arc<Mutex<Vec<u64>>>,
}

impl Stuck {
    pub(super) fn mount(place: &Path) -> Result<Self> {
        std::fs::create_dir_all(place)?;
        let device = File::options().read(true).write(true).open("/dev/fuse").context("cannot open `/dev/fuse`")?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("hull-stuck"), place, Some("fuse"), flags, Some(options.as_str()))
            .with_context(|| format!("cannot mount a FUSE file system on `{}`", place.display()))?;
        let stuck = Self { place: place.to_owned(), device: Arc::new(device), held: Arc::default() };
        let (device, held) = (stuck.device.clone(), stuck.held.clone());
        std::thread::spawn(move || serve(&device, &held));
        Ok(stuck)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets all who wait go on: there is no such file.
    pub(super) fn release(&self) {
        for id in self.held.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            answer(&self.device, id, -nix::libc::ENOENT, &[]);
        }
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.release();
        if let Err(error) = umount2(&self.place, MntFlags::MNT_DETACH) {
            eprintln!("`{}` stays mounted: {error}", self.place.display());
        }
    }
}

fn serve(device: &File, held: &Mutex<Vec<u64>>) {
    let mut buffer = vec![0; LARGEST + HEAD];
    loop {
        let mut reader = device;
        let Ok(length) = reader.read(&mut buffer) else { return }; // unmounted
        let number = |at: usize| buffer[..length].get(at..at + 4).and_then(|bytes| bytes.first_chunk().copied());
        let (Some(operation), Some(low), Some(high)) = (number(4), number(8), number(12)) else { return };
        let id = u64::from(u32::from_ne_bytes(low)) | u64::from(u32::from_ne_bytes(high)) << 32;
        match u32::from_ne_bytes(operation) {
            INIT => answer(device, id, 0, &greeting()),
            GETATTR => answer(device, id, 0, &root()),
            LOOKUP => held.lock().unwrap_or_else(PoisonError::into_inner).push(id),
            FORGET | INTERRUPT | BATCH_FORGET => {}
            _ => answer(device, id, -nix::libc::ENOSYS, &[]),
        }
    }
}

fn answer(device: &File, id: u64, error: i32, body: &[u8]) {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut packet = length.to_ne_bytes().to_vec();
    packet.extend(error.to_ne_bytes());
    packet.extend(id.to_ne_bytes());
    packet.extend(body);
    // Who asked may have been let go by an unmount.
    let mut writer = device;
    let _ = writer.write_all(&packet);
}

/// `struct fuse_init_out` of version 7.31: nothing asked for beyond what there always was.
fn greeting() -> [u8; 64] {
    let mut body = [0; 64];
    body[0..4].copy_from_slice(&7u32.to_ne_bytes());
    body[4..8].copy_from_slice(&31u32.to_ne_bytes());
    body[20..24].copy_from_slice(&65_536u32.to_ne_bytes()); // the largest write
    body
}

/// `struct fuse_attr_out` of the root: an open directory, valid for an hour.
fn root() -> [u8; 104] {
    let mut body = [0; 104];
    body[0..8].copy_from_slice(&3600u64.to_ne_bytes());
    body[16..24].copy_from_slice(&1u64.to_ne_bytes()); // its number
    body[76..80].copy_from_slice(&0o40755u32.to_ne_bytes());
    body[80..84].copy_from_slice(&2u32.to_ne_bytes()); // links
    body
}
