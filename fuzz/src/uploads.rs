//! Uploads of images: whole files and multipart forms.

use std::fs::File;
use std::io::Write;

use nix::sys::memfd::{MFdFlags, memfd_create};

const MOST: u64 = 16 << 10;

/// A line with the content type, then the body.
pub fn uploads(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(content_type) = std::str::from_utf8(&data[..end]) else { return };
    let body = &data[end + 1..];
    let files: [File; 3] = std::array::from_fn(|_| memory());
    let [input, metadata, rootfs] = &files;
    { input }.write_all(body).expect("writing to memory");
    std::io::Seek::rewind(&mut { input }).expect("rewinding memory");
    let copy = |file: &File| file.try_clone().expect("a copy of a descriptor");
    let taken = image_file::fuzzing::take_apart(copy(input), content_type, MOST, [copy(metadata), copy(rootfs)]);
    let size = |file: &File| file.metadata().expect("asking memory").len();
    let written = size(metadata) + size(rootfs);
    // Half of a form may have been written when the other half turns out to be too much.
    assert!(written <= 2 * MOST && (taken.is_err() || written <= MOST.min(body.len() as u64)), "{written}");
    assert!(taken.is_err() || size(metadata) > 0);
}

fn memory() -> File {
    memfd_create(c"upload", MFdFlags::MFD_CLOEXEC).expect("memory as a file").into()
}
