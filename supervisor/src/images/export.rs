//! `GET /1.0/images/FINGERPRINT/export`: the files as they were taken in.
//!
//! A unified image is one file, sent by the gateway from its descriptor. A split image is a multipart document, which a task
//! writes into a pipe: the kernel moves the files' bytes, none comes into this process.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use axum::response::{IntoResponse, Response};
use hull_gateway_contract::ReplyBody;
use hull_plugin::{FileFd, Fingerprint, StreamFd};
use nix::sys::sendfile::sendfile;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::files::{self, Opened};
use super::model::Image;
use crate::api::{ApiError, Reply};
use crate::gateway::descriptor_response;
use crate::hull::Hull;
use crate::sys::watch;

/// Bytes moved at once.
const SHARE: usize = 1 << 18;

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
    let file = FileFd::new(file);
    Ok((headers, descriptor_response(ReplyBody::File { file, start: 0, length })).into_response())
}

fn split(hull: &Hull, image: &Image, metadata: File, rootfs: File) -> io::Result<Response> {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let (reader, writer) = io::pipe()?;
    let fingerprint = image.fingerprint.clone();
    let writer = watch(OwnedFd::from(writer), Interest::WRITABLE)?;
    hull.tasks.spawn(async move {
        let opened = Opened { metadata, rootfs: Some(rootfs) };
        match write_parts(&writer, &fingerprint, &opened, &boundary).await {
            // The client has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => tracing::warn!(image = %fingerprint, %error, "an export has broken off"),
            Ok(()) => {}
        }
    });
    let stream = StreamFd::new(OwnedFd::from(reader));
    Ok(([("content-type", content_type)], descriptor_response(ReplyBody::Stream(stream))).into_response())
}

async fn write_parts(
    pipe: &AsyncFd<OwnedFd>,
    fingerprint: &Fingerprint,
    files: &Opened,
    boundary: &str,
) -> io::Result<()> {
    let parts = [("metadata", "meta-", Some(&files.metadata)), ("rootfs", "", files.rootfs.as_ref())];
    let mut start = format!("--{boundary}\r\n");
    for (name, prefix, file) in parts {
        let Some(file) = file else { continue };
        let head = format!(
            "{start}Content-Disposition: form-data; name=\"{name}\"; filename=\"{prefix}{fingerprint}{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            files::suffix(file)
        );
        write_all(pipe, head.as_bytes()).await?;
        send(file, pipe).await?;
        start = format!("\r\n--{boundary}\r\n");
    }
    write_all(pipe, format!("\r\n--{boundary}--\r\n").as_bytes()).await
}

async fn write_all(pipe: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = pipe.writable().await?;
        match ready.try_io(|pipe| nix::unistd::write(pipe, bytes).map_err(io::Error::from)) {
            Ok(written) => bytes = &bytes[written?..],
            Err(_would_block) => {}
        }
    }
    Ok(())
}

/// Moves all of the file into the pipe.
async fn send(file: &File, pipe: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut offset = 0;
    loop {
        let mut ready = pipe.writable().await?;
        match ready.try_io(|pipe| sendfile(pipe, file, Some(&mut offset), SHARE).map_err(io::Error::from)) {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn a_split_image_is_a_multipart_document() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        let root = [b"hsqs".as_slice(), &[7; 200_000]].concat();
        let opened = Opened { metadata: file(&[0x1f, 0x8b, 1]), rootfs: Some(file(&root)) };
        let (mut reader, writer) = io::pipe().unwrap();
        let fingerprint = Fingerprint::new("a".repeat(64)).unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut document = Vec::new();
            reader.read_to_end(&mut document).map(|_| document)
        });
        let writer = watch(OwnedFd::from(writer), Interest::WRITABLE).unwrap();
        write_parts(&writer, &fingerprint, &opened, "XX").await.unwrap();
        drop(writer);
        let document = reading.await.unwrap().unwrap();

        let name = "a".repeat(64);
        let head =
            format!("--XX\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"meta-{name}.tar.gz\"\r\n");
        assert!(document.starts_with(head.as_bytes()));
        let second =
            format!("\r\n--XX\r\nContent-Disposition: form-data; name=\"rootfs\"; filename=\"{name}.squashfs\"\r\n");
        assert!(document.windows(second.len()).any(|window| window == second.as_bytes()));
        let tail = [root.as_slice(), b"\r\n--XX--\r\n"].concat();
        assert!(document.ends_with(&tail));
    }
}
