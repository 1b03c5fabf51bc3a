//! `GET /1.0/images/FINGERPRINT/export`: the files as they were taken in.
//!
//! A unified image is one file, a split image a multipart document around two: the gateway sends both from their descriptors,
//! and goes on with that whatever becomes of hulld.

use std::fs::File;
use std::io;

use axum::response::{IntoResponse, Response};
use hull_gateway_contract::{Piece, ReplyBody};
use hull_plugin::{FileFd, Fingerprint};

use super::files;
use super::model::Image;
use crate::api::{ApiError, Reply};
use crate::gateway::descriptor_response;
use crate::hull::Hull;

pub(super) fn export(hull: &Hull, image: &Image) -> Reply {
    let opened = hull.images.directory.opened(&image.fingerprint, image.split)?;
    let response = match opened.rootfs {
        None => unified(image, opened.metadata),
        Some(rootfs) => split(image, opened.metadata, rootfs),
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

fn split(image: &Image, metadata: File, rootfs: File) -> io::Result<Response> {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let pieces = document(&image.fingerprint, [("metadata", "meta-", metadata), ("rootfs", "", rootfs)], &boundary)?;
    Ok(([("content-type", content_type)], descriptor_response(ReplyBody::Pieces(pieces))).into_response())
}

/// The files, by their part's name and their file name's prefix, as a multipart document.
fn document(fingerprint: &Fingerprint, parts: [(&str, &str, File); 2], boundary: &str) -> io::Result<Vec<Piece>> {
    let (mut pieces, mut start) = (Vec::new(), format!("--{boundary}\r\n"));
    for (name, prefix, file) in parts {
        let head = format!(
            "{start}Content-Disposition: form-data; name=\"{name}\"; filename=\"{prefix}{fingerprint}{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            files::suffix(&file)
        );
        let length = file.metadata()?.len();
        pieces.extend([Piece::Bytes(head.into_bytes()), Piece::File { file: FileFd::new(file), length }]);
        start = format!("\r\n--{boundary}\r\n");
    }
    pieces.push(Piece::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_split_image_is_a_multipart_document() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        let root = [b"hsqs".as_slice(), &[7; 200_000]].concat();
        let fingerprint = Fingerprint::new("a".repeat(64)).unwrap();
        let parts = [("metadata", "meta-", file(&[0x1f, 0x8b, 1])), ("rootfs", "", file(&root))];
        let mut sent = Vec::new();
        for piece in document(&fingerprint, parts, "XX").unwrap() {
            let (before, length) = (sent.len(), piece.length());
            match piece {
                Piece::Bytes(bytes) => sent.extend(bytes),
                Piece::File { file, .. } => {
                    let mut file = File::from(file.into_owned());
                    file.rewind().unwrap();
                    file.read_to_end(&mut sent).unwrap();
                }
            }
            assert_eq!((sent.len() - before) as u64, length);
        }

        let name = "a".repeat(64);
        let head =
            format!("--XX\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"meta-{name}.tar.gz\"\r\n");
        assert!(sent.starts_with(head.as_bytes()));
        let second =
            format!("\r\n--XX\r\nContent-Disposition: form-data; name=\"rootfs\"; filename=\"{name}.squashfs\"\r\n");
        assert!(sent.windows(second.len()).any(|window| window == second.as_bytes()));
        assert!(sent.ends_with(&[root.as_slice(), b"\r\n--XX--\r\n"].concat()));
    }
}
