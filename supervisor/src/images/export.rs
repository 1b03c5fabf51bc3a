//! `GET /1.0/images/FINGERPRINT/export`: the files as they were taken in.
//!
//! A unified image is one file, sent by the gateway from its descriptor. A split image is a multipart document, which a thread
//! writes into a pipe: the kernel moves the files' bytes, none comes into this process.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use axum::response::Response;
use hull_plugin::{Fingerprint, StreamFd};
use nix::errno::Errno;
use nix::sys::sendfile::sendfile;

use super::files::{self, Opened};
use super::model::Image;
use crate::api::{ApiError, Reply};
use crate::gateway::{file_response, stream_response};
use crate::hull::Hull;

pub(super) fn export(hull: &Hull, image: &Image) -> Reply {
    let opened = hull.images.directory.opened(&image.fingerprint, image.split)?;
    let response = match opened.rootfs {
        None => unified(image, opened.metadata),
        Some(rootfs) => split(hull, image, opened.metadata, rootfs),
    };
    response.map_err(|error| ApiError::internal(format!("cannot send image `{}`: {error}", image.fingerprint)))
}

fn unified(image: &Image, file: File) -> io::Result<Response> {
    let length = file.metadata()?.len();
    let disposition = format!("inline;filename={}{}", image.fingerprint, files::suffix(&file));
    let headers = [("content-type", "application/octet-stream".to_owned()), ("content-disposition", disposition)];
    Ok(file_response(file, length, headers))
}

fn split(hull: &Hull, image: &Image, metadata: File, rootfs: File) -> io::Result<Response> {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let (reader, writer) = io::pipe()?;
    let fingerprint = image.fingerprint.clone();
    hull.tasks.spawn_blocking(move || {
        let opened = Opened { metadata, rootfs: Some(rootfs) };
        match write_parts(&mut File::from(OwnedFd::from(writer)), &fingerprint, &opened, &boundary) {
            // The client has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => tracing::warn!(image = %fingerprint, %error, "an export has broken off"),
            Ok(()) => {}
        }
    });
    Ok(stream_response(StreamFd::new(OwnedFd::from(reader)), [("content-type", content_type)]))
}

fn write_parts(pipe: &mut File, fingerprint: &Fingerprint, files: &Opened, boundary: &str) -> io::Result<()> {
    let parts = [("metadata", "meta-", Some(&files.metadata)), ("rootfs", "", files.rootfs.as_ref())];
    let mut start = format!("--{boundary}\r\n");
    for (name, prefix, file) in parts {
        let Some(file) = file else { continue };
        write!(
            pipe,
            "{start}Content-Disposition: form-data; name=\"{name}\"; filename=\"{prefix}{fingerprint}{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            files::suffix(file)
        )?;
        send(file, pipe)?;
        start = format!("\r\n--{boundary}\r\n");
    }
    write!(pipe, "\r\n--{boundary}--\r\n")
}

fn send(file: &File, pipe: &File) -> io::Result<()> {
    let mut offset = 0;
    loop {
        match sendfile(pipe, file, Some(&mut offset), 1 << 20) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_split_image_is_a_multipart_document() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        let root = [b"hsqs".as_slice(), &[7; 200_000]].concat();
        let opened = Opened { metadata: file(&[0x1f, 0x8b, 1]), rootfs: Some(file(&root)) };
        let (mut reader, writer) = io::pipe().unwrap();
        let fingerprint = Fingerprint::new("a".repeat(64)).unwrap();
        let writing = std::thread::spawn(move || {
            write_parts(&mut File::from(OwnedFd::from(writer)), &fingerprint, &opened, "XX").unwrap();
        });
        let mut document = Vec::new();
        reader.read_to_end(&mut document).unwrap();
        writing.join().unwrap();

        let name = "a".repeat(64);
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"meta-{name}.tar.gz\"\r\n");
        assert!(document.starts_with(head.as_bytes()));
        let second = format!("\r\n--XX\r\nContent-Disposition: form-data; name=\"rootfs\"; filename=\"{name}.squashfs\"\r\n");
        assert!(document.windows(second.len()).any(|window| window == second.as_bytes()));
        let tail = [root.as_slice(), b"\r\n--XX--\r\n"].concat();
        assert!(document.ends_with(&tail));
    }
}
