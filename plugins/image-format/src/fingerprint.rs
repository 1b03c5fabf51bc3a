//! What names an image: the SHA-256 of its file, or of its two files one after the other.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::meter::Meter;

/// The SHA-256 of `metadata` followed by `rootfs`, in hexadecimal, and the bytes of both together.
pub fn fingerprint(metadata: &File, rootfs: Option<&File>, meter: &Meter) -> Result<(String, u64)> {
    let mut digest = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 << 10];
    for file in std::iter::once(metadata).chain(rootfs) {
        let mut offset = 0;
        loop {
            meter.go_on()?;
            let length = file.read_at(&mut buffer, offset).map_err(|error| Error::reading("the image file", error))?;
            if length == 0 {
                break;
            }
            digest.update(&buffer[..length]);
            offset += length as u64;
        }
        size += offset;
    }
    Ok((hex::encode(digest.finalize()), size))
}
