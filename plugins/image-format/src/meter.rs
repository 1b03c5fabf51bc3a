//! Limits and progress: what a tree may cost, how far the work is, and whether it should stop.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::error::{Error, Result};

/// Where unpacking stops with [`Error::Corrupt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content, extended attributes included. Holes a sparse file declares cost nothing.
    pub max_bytes: u64,
    /// Names: files, directories, links, devices.
    pub max_inodes: u64,
}

/// Shared between the thread that works and the one that reports.
#[derive(Debug, Default)]
pub struct Meter {
    expected: AtomicU64,
    consumed: AtomicU64,
    written: AtomicU64,
    cancelled: AtomicBool,
}

impl Meter {
    /// Bytes of content written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Of 100, if the end is known.
    pub fn percent(&self) -> Option<u8> {
        let expected = self.expected.load(Relaxed);
        let consumed = u128::from(self.consumed.load(Relaxed));
        (expected > 0).then(|| u8::try_from((consumed * 100 / u128::from(expected)).min(100)).unwrap_or(100))
    }

    /// Makes the work end soon with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn consume(&self, bytes: u64) {
        self.consumed.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn write(&self, bytes: u64) {
        self.written.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        if self.cancelled.load(Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A stream that fails beyond `left` bytes, and when the work is cancelled.
pub(crate) struct Bounded<'a, R> {
    pub(crate) input: R,
    pub(crate) left: u64,
    pub(crate) meter: &'a Meter,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.go_on().map_err(io::Error::other)?;
        let length = self.input.read(buffer)?;
        let left = self.left.checked_sub(length as u64);
        self.left =
            left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is longer than its limits allow"))?;
        Ok(length)
    }
}

/// What is left of the [`Limits`], for any number of threads.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    bytes: AtomicU64,
    inodes: AtomicU64,
    memory: AtomicU64,
}

/// What may be kept in memory of an image's names and attributes until its end: a hundred times what a distribution needs.
const LARGEST_MEMORY: u64 = 64 << 20;

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, bytes: AtomicU64::new(0), inodes: AtomicU64::new(0), memory: AtomicU64::new(0) }
    }

    pub(crate) fn spend_bytes(&self, bytes: u64) -> Result<()> {
        let max = self.limits.max_bytes;
        let before = self.bytes.fetch_add(bytes.min(max.saturating_add(1)), Relaxed);
        if before.saturating_add(bytes) > max {
            return Err(Error::Corrupt(format!("the image unpacks to more than the allowed {max} bytes")));
        }
        Ok(())
    }

    pub(crate) fn spend_inode(&self) -> Result<()> {
        let max = self.limits.max_inodes;
        if self.inodes.fetch_add(1, Relaxed) >= max {
            return Err(Error::Corrupt(format!("the image unpacks to more than the allowed {max} files")));
        }
        Ok(())
    }

    /// For what is kept in memory until the end.
    pub(crate) fn spend_memory(&self, bytes: u64) -> Result<()> {
        if self.memory.fetch_add(bytes, Relaxed).saturating_add(bytes) > LARGEST_MEMORY {
            return Err(Error::corrupt("the image has too many long names: no memory is left to keep them in"));
        }
        Ok(())
    }

    /// The most bytes that an archive within the limits can have before unpacking, headers and padding included.
    pub(crate) fn longest_stream(&self) -> u64 {
        const PER_ENTRY: u64 = 8 << 10;
        const TRAILER: u64 = 64 << 20;
        let headers = self.limits.max_inodes.saturating_mul(PER_ENTRY);
        self.limits.max_bytes.saturating_add(headers).saturating_add(TRAILER)
    }
}
