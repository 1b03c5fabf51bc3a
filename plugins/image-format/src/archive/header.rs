//! The 512-byte header: fields, numbers, checksum.

use crate::error::{Error, Result};

pub(crate) const BLOCK: usize = 512;

/// Offsets and lengths of what a sparse file has.
pub(crate) type Segments = Vec<(u64, u64)>;

/// What an entry becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One header block whose checksum is right.
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

/// Whether these bytes start a tar archive.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|block| Header::parse(block).is_ok())
}

impl<'a> Header<'a> {
    pub(crate) fn parse(block: &'a [u8; BLOCK]) -> Result<Self> {
        let header = Self(block);
        let claimed = header.number(148..156, "checksum")?;
        let blanked = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        let unsigned: i64 = blanked.clone().map(i64::from).sum();
        let signed: i64 = blanked.map(|byte| i64::from(byte.cast_signed())).sum();
        if claimed != unsigned && claimed != signed {
            return Err(Error::corrupt("the archive is damaged: a header's checksum is wrong"));
        }
        Ok(header)
    }

    pub(crate) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// With ustar's prefix, if there is one.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        // GNU's old format keeps other things where ustar has the prefix.
        let prefix = if &self.0[257..263] == b"ustar\0" { text(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u32> {
        Ok((self.number(100..108, "mode")? & 0o7777) as u32)
    }

    pub(crate) fn owner(&self) -> Result<u32> {
        id(self.number(108..116, "owner")?)
    }

    pub(crate) fn group(&self) -> Result<u32> {
        id(self.number(116..124, "group")?)
    }

    pub(crate) fn size(&self) -> Result<u64> {
        let size = self.number(124..136, "size")?;
        u64::try_from(size).map_err(|_| Error::corrupt("the archive is damaged: an entry has a negative size"))
    }

    pub(crate) fn modified(&self) -> Result<i64> {
        self.number(136..148, "time")
    }

    /// Major and minor number.
    pub(crate) fn device(&self) -> Result<(u64, u64)> {
        let part = |field| self.number(field, "device").map(|number| u64::try_from(number).unwrap_or(0));
        Ok((part(329..337)?, part(337..345)?))
    }

    /// GNU's sparse header: the map's first four segments, whether more blocks of it follow, and the real size.
    pub(crate) fn gnu_sparse(&self) -> Result<(Segments, bool, u64)> {
        let segments = gnu_segments(&self.0[386..482])?;
        let size = self.number(483..495, "size")?;
        let size = u64::try_from(size).map_err(|_| Error::corrupt("a sparse file has a negative size"))?;
        Ok((segments, self.0[482] != 0, size))
    }

    fn number(&self, field: std::ops::Range<usize>, what: &str) -> Result<i64> {
        number(&self.0[field]).ok_or_else(|| Error::corrupt(format!("the archive is damaged: bad {what} in a header")))
    }
}

/// A continuation block of GNU's sparse map: 21 segments and whether another block follows.
pub(crate) fn gnu_sparse_block(block: &[u8; BLOCK]) -> Result<(Segments, bool)> {
    Ok((gnu_segments(&block[..504])?, block[504] != 0))
}

fn gnu_segments(fields: &[u8]) -> Result<Segments> {
    let damaged = || Error::corrupt("the archive is damaged: bad map of a sparse file");
    let mut segments = Vec::new();
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 && pair[12] == 0 {
            break;
        }
        let part = |field| number(field).and_then(|number| u64::try_from(number).ok()).ok_or_else(damaged);
        segments.push((part(&pair[..12])?, part(&pair[12..])?));
    }
    Ok(segments)
}

/// Octal text, or base 256 when the first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let head = if first & 0x40 != 0 { i64::from(first.cast_signed()) } else { i64::from(first & 0x3f) };
        return rest.iter().try_fold(head, |value, byte| value.checked_mul(256).map(|value| value | i64::from(*byte)));
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + i64::from(digit - b'0')),
        _ => None,
    })
}

fn id(number: i64) -> Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| Error::corrupt(format!("the archive has a file of the impossible owner {number}")))
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"    644 "), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"00009\0\0\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]), Some(-2));
        assert_eq!(number(&[0xbf; 12]), None); // larger than 63 bits
    }
}
