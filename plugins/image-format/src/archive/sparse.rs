//! Sparse files: which parts of the file the content in the archive belongs to.

use std::io::Read;

use crate::error::{Error, Result};

use super::header::{BLOCK, Header, gnu_sparse_block};
use super::pax::{SparseRecords, decimal};

/// Where the content goes: offsets and lengths, in order, without overlap; and the file's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) segments: Vec<(u64, u64)>,
    pub(crate) size: u64,
}

const MOST_SEGMENTS: usize = 1 << 20;

impl Map {
    /// Checks what the archive claims against `content`, the bytes that follow.
    fn new(segments: Vec<(u64, u64)>, size: u64, content: u64) -> Result<Self> {
        let mut end = 0u64;
        let mut total = 0u64;
        for (offset, length) in &segments {
            let after = offset.checked_add(*length).filter(|after| *offset >= end && *after <= size);
            end = after.ok_or_else(damaged)?;
            total += length; // no overflow: segments do not overlap within `size`
        }
        if total == content { Ok(Self { segments, size }) } else { Err(damaged()) }
    }

    /// GNU's old format: part of the map in the header, the rest in blocks after it.
    pub(crate) fn gnu(header: &Header, input: &mut impl Read, content: u64) -> Result<Self> {
        let (mut segments, mut more, size) = header.gnu_sparse()?;
        while more {
            let mut block = [0; BLOCK];
            input.read_exact(&mut block).map_err(|error| Error::reading("the archive", error))?;
            let (next, again) = gnu_sparse_block(&block)?;
            segments.extend(next);
            more = again;
            if segments.len() > MOST_SEGMENTS {
                return Err(damaged());
            }
        }
        Self::new(segments, size, content)
    }

    /// PAX formats: the map in the records, or in front of the content; returns how many bytes of content it took.
    pub(crate) fn pax(records: SparseRecords, input: &mut impl Read, content: u64) -> Result<(Self, u64)> {
        let size = records.real_size.ok_or_else(damaged)?;
        if !records.in_content {
            return Ok((Self::new(records.segments, size, content)?, 0));
        }
        let mut lines = Lines { input, block: [0; BLOCK], used: BLOCK, taken: 0, most: content };
        let count =
            usize::try_from(lines.number()?).ok().filter(|count| *count <= MOST_SEGMENTS).ok_or_else(damaged)?;
        let mut segments = Vec::new();
        for _ in 0..count {
            segments.push((lines.number()?, lines.number()?));
        }
        let taken = lines.taken;
        Ok((Self::new(segments, size, content - taken)?, taken))
    }
}

/// Decimal numbers, a line each, padded to a whole block.
struct Lines<'a, R> {
    input: &'a mut R,
    block: [u8; BLOCK],
    used: usize,
    taken: u64,
    most: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.used == BLOCK {
                if self.taken + BLOCK as u64 > self.most {
                    return Err(damaged());
                }
                self.input.read_exact(&mut self.block).map_err(|error| Error::reading("the archive", error))?;
                self.taken += BLOCK as u64;
                self.used = 0;
            }
            let byte = self.block[self.used];
            self.used += 1;
            match byte {
                b'\n' => return decimal(&digits),
                _ if digits.len() < 20 => digits.push(byte),
                _ => return Err(damaged()),
            }
        }
    }
}

fn damaged() -> Error {
    Error::corrupt("the archive is damaged: bad map of a sparse file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_overlap_overrun_or_lie_are_refused() {
        assert!(Map::new(vec![(0, 10), (20, 5)], 30, 15).is_ok());
        assert!(Map::new(vec![(0, 10), (5, 5)], 30, 15).is_err());
        assert!(Map::new(vec![(0, 10), (25, 10)], 30, 20).is_err());
        assert!(Map::new(vec![(0, 10)], 30, 15).is_err());
        assert!(Map::new(vec![(u64::MAX, 2)], u64::MAX, 2).is_err());
    }
}
