//! What an image is, found out without unpacking it.

use std::fs::File;
use std::io::Read;

use crate::archive::{Archive, Entry, Kind};
use crate::compression::{Format, detect, open};
use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;
use crate::metadata::{LARGEST_METADATA, Metadata};
use crate::meter::{Bounded, Meter};
use crate::tree::Place;

#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// SHA-256 of the file, or of metadata followed by root file system, in hexadecimal.
    pub fingerprint: String,
    /// Bytes of all files.
    pub size: u64,
    pub kind: InstanceKind,
    pub metadata: Metadata,
}

/// For what kind of instance an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceKind {
    Container,
    VirtualMachine,
}

/// How much of an unpacked image is searched. Metadata stands in front, or behind a root file system of less than this; the slowest
/// compression takes minutes for so much.
const LONGEST_SEARCH: u64 = 8 << 30;

/// Reads an image's metadata and computes its fingerprint.
///
/// # Errors
/// `Corrupt`: no metadata.yaml (in the first 8 GiB), or it cannot be read. `Cancelled`: through `meter`.
pub fn inspect(metadata: &File, rootfs: Option<&File>, meter: &Meter) -> Result<Facts> {
    let rootfs_kind = rootfs.map(detect).transpose()?.map(|format| match format {
        Format::Qcow2 => InstanceKind::VirtualMachine,
        Format::Tar(_) | Format::SquashFs => InstanceKind::Container,
    });
    let (text, tarball_kind) = read_metadata(metadata, rootfs_kind.is_none(), meter)?;
    let metadata_facts = Metadata::parse(&text)?;
    let (fingerprint, size) = fingerprint(metadata, rootfs, meter)?;
    let kind = rootfs_kind.or(tarball_kind).unwrap_or(InstanceKind::Container);
    Ok(Facts { fingerprint, size, kind, metadata: metadata_facts })
}

/// The text, and for a unified image (`unified`) what stands in it beside: reads on to the first entry that tells.
fn read_metadata(file: &File, unified: bool, meter: &Meter) -> Result<(Vec<u8>, Option<InstanceKind>)> {
    let Format::Tar(compression) = detect(file)? else {
        return Err(Error::corrupt("the image has no metadata: it must be a tarball with a metadata.yaml"));
    };
    let stream = Bounded { input: open(file, compression, meter)?, left: LONGEST_SEARCH, meter };
    let mut archive = Archive::new(stream);
    let (mut text, mut kind) = (None, None);
    while text.is_none() || (unified && kind.is_none()) {
        meter.go_on()?;
        let Some(entry) = archive.next()? else { break };
        let place = Place::parse(&entry.path)?;
        match place.split_first() {
            (b"metadata.yaml", b"") => text = Some(content(&entry, &mut archive)?),
            (b"rootfs", _) => kind = Some(InstanceKind::Container),
            (b"rootfs.img", b"") => kind = Some(InstanceKind::VirtualMachine),
            _ => {}
        }
    }
    if unified && kind.is_none() {
        return Err(Error::corrupt("this is no image: it has no root file system"));
    }
    Ok((text.ok_or_else(|| Error::corrupt("this is no image: it has no metadata.yaml"))?, kind))
}

fn content(entry: &Entry, archive: &mut impl Read) -> Result<Vec<u8>> {
    if entry.kind != Kind::File || entry.sparse.is_some() {
        return Err(Error::corrupt("the archive's `metadata.yaml` is not a plain file"));
    }
    if entry.size > LARGEST_METADATA {
        return Err(Error::corrupt("the archive's `metadata.yaml` is larger than 1 MiB"));
    }
    let mut text = vec![0; entry.size as usize];
    archive.read_exact(&mut text).map_err(|error| Error::reading("the archive", error))?;
    Ok(text)
}
