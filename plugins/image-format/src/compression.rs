//! Which format a file has, by its first bytes, and the stream inside.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};
use crate::meter::Meter;

/// What a file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Tar(Compression),
    SquashFs,
    /// A virtual machine's disk.
    Qcow2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstandard,
    Bzip2,
}

/// Looks at the first bytes.
///
/// # Errors
/// `Corrupt`: none of the known formats.
pub(crate) fn detect(file: &File) -> Result<Format> {
    let mut head = [0; 512];
    let length = read_start(file, &mut head)?;
    let head = &head[..length];
    Ok(match head {
        [] => return Err(Error::corrupt("the image file is empty")),
        [0x1f, 0x8b, ..] => Format::Tar(Compression::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            check_xz_dictionary(head)?;
            Format::Tar(Compression::Xz)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Tar(Compression::Zstandard),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Format::Tar(Compression::Bzip2),
        [b'h', b's', b'q', b's', ..] => Format::SquashFs,
        [b'Q', b'F', b'I', 0xfb, ..] => Format::Qcow2,
        _ if crate::archive::is_header(head) => Format::Tar(Compression::None),
        _ => {
            return Err(Error::corrupt(
                "the image file is neither a tarball (plain, gzip, xz, zstd or bzip2) nor a squashfs",
            ));
        }
    })
}

/// The unpacked bytes of `file`, from its start; what is read counts on `meter`.
pub(crate) fn open<'a>(
    file: &'a File,
    compression: Compression,
    meter: &'a Meter,
) -> Result<Box<dyn Read + Send + 'a>> {
    let input = io::BufReader::with_capacity(INPUT_BUFFER, Positioned { file, offset: 0, meter });
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Xz => Box::new(XzStreams::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Zstandard => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            Box::new(decoder.map_err(|error| Error::reading("the zstd stream", error))?)
        }
    })
}

/// Reads with offsets of its own: descriptors from elsewhere share theirs.
struct Positioned<'a> {
    file: &'a File,
    offset: u64,
    meter: &'a Meter,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset += length as u64;
        self.meter.consume(length as u64);
        Ok(length)
    }
}

/// One xz stream after another, each with its dictionary checked. The decoder can do several, but calls itself for each
/// empty one: two hundred kilobytes of those need more stack than there is.
struct XzStreams<R: Read>(Option<lzma_rust2::XzReader<Looked<R>>>);

/// A stream whose beginning has been looked at.
type Looked<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

impl<R: Read> XzStreams<R> {
    fn new(input: R) -> Self {
        // `detect` has checked the first stream.
        Self(Some(lzma_rust2::XzReader::new(io::Cursor::new(Vec::new()).chain(input), false)))
    }
}

impl<R: Read> Read for XzStreams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(stream) = &mut self.0 {
            let length = stream.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            if let Some(ended) = self.0.take() {
                self.0 = next_xz_stream(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// Behind the padding (zeros, four at a time); `None`: there is none.
fn next_xz_stream<R: Read>(input: Looked<R>) -> io::Result<Option<lzma_rust2::XzReader<Looked<R>>>> {
    const LONGEST_START: u64 = 12 + 1024; // a stream's header and its first block's
    let (seen, mut rest) = input.into_inner();
    let mut start = seen.get_ref()[seen.position() as usize..].to_vec();
    loop {
        let missing = LONGEST_START.saturating_sub(start.len() as u64);
        rest.by_ref().take(missing).read_to_end(&mut start)?;
        match start.iter().position(|byte| *byte != 0) {
            None if start.is_empty() => return Ok(None),
            None => start.drain(..start.len() - start.len() % 4), // what is left over is refused below
            Some(0) => break,
            Some(zeros) => start.drain(..zeros - zeros % 4),
        };
        if matches!(start.first(), Some(0)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the padding of an xz stream is not whole"));
        }
    }
    check_xz_dictionary(&start).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    Ok(Some(lzma_rust2::XzReader::new(io::Cursor::new(start).chain(rest), false)))
}

/// The decoder allocates the dictionary that the stream asks for; `xz -9` asks for 64 MiB, a hostile file for 4 GiB.
/// The first block's header tells; a later block that asks for more meets the process's memory limit.
pub(crate) fn check_xz_dictionary(head: &[u8]) -> Result<()> {
    const LARGEST: u8 = 30; // 128 MiB: bits 0-5 of the LZMA2 property, dictionary = (2 | bit 0) << (bits / 2 + 11)
    let truncated = || Error::corrupt("the xz stream is truncated");
    let header = head.get(12..).ok_or_else(truncated)?;
    let [size, flags, ..] = header else { return Err(truncated()) };
    if *size == 0 {
        return Ok(()); // no block at all
    }
    let mut rest = &header[2..];
    for present in [flags & 0x40, flags & 0x80] {
        if present != 0 {
            skip_number(&mut rest).ok_or_else(truncated)?; // compressed and uncompressed size
        }
    }
    for _ in 0..=(flags & 3) {
        let id = skip_number(&mut rest).ok_or_else(truncated)?;
        let length = usize::try_from(skip_number(&mut rest).ok_or_else(truncated)?).map_err(|_| truncated())?;
        let properties = rest.get(..length).ok_or_else(truncated)?;
        if id == 0x21 && properties.first().is_none_or(|bits| bits & 0x3f > LARGEST) {
            return Err(Error::corrupt("the xz stream asks for a dictionary larger than 128 MiB"));
        }
        rest = &rest[length..];
    }
    Ok(())
}

fn skip_number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read_start(file: &File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::reading("the image file", error)),
        }
    }
    Ok(filled)
}

const INPUT_BUFFER: usize = 128 << 10;
