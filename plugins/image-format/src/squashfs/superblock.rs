//! The first 96 bytes, and decompression of one block.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::compression::check_xz_dictionary;
use crate::error::{Error, Result};

pub(crate) struct Superblock {
    pub(crate) block_size: u32,
    pub(crate) fragments: u32,
    pub(crate) compressor: Compressor,
    pub(crate) ids: u16,
    pub(crate) root: u64,
    pub(crate) id_table: u64,
    pub(crate) attribute_table: u64,
    pub(crate) inode_table: u64,
    pub(crate) directory_table: u64,
    pub(crate) fragment_table: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compressor {
    Zlib,
    Xz,
    Zstandard,
}

impl Superblock {
    pub(crate) fn read(file: &File) -> Result<Self> {
        let mut bytes = [0; 96];
        read_exact_at(file, &mut bytes, 0)?;
        let version = (half(&bytes, 28), half(&bytes, 30));
        if &bytes[..4] != b"hsqs" || version != (4, 0) {
            let (major, minor) = version;
            return Err(Error::Unsupported(format!("squashfs version {major}.{minor} is not supported, only 4.0")));
        }
        let block_size = word(&bytes, 12);
        if !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size) {
            return Err(damaged("an impossible block size"));
        }
        let claimed = long(&bytes, 40);
        let real = file.metadata().map_err(|error| Error::reading("the squashfs", error))?.len();
        if claimed > real {
            return Err(Error::Corrupt(format!("the squashfs is truncated: it has {real} bytes of {claimed}")));
        }
        Ok(Self {
            block_size,
            fragments: word(&bytes, 16),
            compressor: Compressor::from_number(half(&bytes, 20))?,
            ids: half(&bytes, 26),
            root: long(&bytes, 32),
            id_table: long(&bytes, 48),
            attribute_table: long(&bytes, 56),
            inode_table: long(&bytes, 64),
            directory_table: long(&bytes, 72),
            fragment_table: long(&bytes, 80),
        })
    }
}

impl Compressor {
    fn from_number(number: u16) -> Result<Self> {
        let name = match number {
            1 => return Ok(Self::Zlib),
            4 => return Ok(Self::Xz),
            6 => return Ok(Self::Zstandard),
            2 => "lzma",
            3 => "lzo",
            5 => "lz4",
            _ => return Err(damaged("an unknown compressor")),
        };
        Err(Error::Unsupported(format!("squashfs compressed with {name} is not supported (gzip, xz and zstd are)")))
    }

    /// At most `most` bytes come out.
    pub(crate) fn decompress(self, input: &[u8], most: usize) -> Result<Vec<u8>> {
        let mut output = Vec::with_capacity(most.min(128 << 10));
        let limit = most as u64 + 1;
        let result = match self {
            Self::Zlib => flate2::bufread::ZlibDecoder::new(input).take(limit).read_to_end(&mut output),
            Self::Xz => {
                check_xz_dictionary(input)?;
                lzma_rust2::XzReader::new(input, false).take(limit).read_to_end(&mut output)
            }
            Self::Zstandard => zstd::bulk::decompress(input, most).map(|bytes| {
                output = bytes;
                output.len()
            }),
        };
        match result {
            Ok(length) if length <= most => Ok(output),
            Ok(_) => Err(damaged("a block larger than a block")),
            Err(error) => Err(Error::Corrupt(format!("the squashfs is damaged: {error}"))),
        }
    }
}

pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<()> {
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => damaged("an impossible offset"),
        _ => Error::reading("the squashfs", error),
    })
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::Corrupt(format!("the squashfs is damaged: it has {what}"))
}

/// Little-endian numbers out of a record that is long enough.
pub(crate) fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

pub(crate) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
