//! The content of files: data blocks, and fragments that many small files share. For any number of threads.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::meter::Meter;

use super::superblock::{Compressor, damaged, read_exact_at};
use super::tables::SquashFs;

/// Where a file's content is.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) size: u64,
    /// Size words of its blocks.
    pub(crate) blocks: Vec<u32>,
    /// The fragment that holds its end, and where in it.
    pub(crate) fragment: Option<(u32, u32)>,
}

pub(crate) struct Content<'a> {
    file: &'a File,
    compressor: Compressor,
    block_size: usize,
    fragments: Vec<(u64, u32)>,
    /// The last few fragments: neighbours in the tree are neighbours in a fragment.
    recent: Mutex<VecDeque<(u32, Arc<Slot>)>>,
    meter: &'a Meter,
}

/// A fragment that the first one to need it unpacks while the others wait.
type Slot = Mutex<Option<Arc<Vec<u8>>>>;

const MOST_RECENT: usize = 16;
const UNCOMPRESSED: u32 = 1 << 24;

impl<'a> Content<'a> {
    pub(crate) fn new(squashfs: &SquashFs<'a>, meter: &'a Meter) -> Result<Self> {
        Ok(Self {
            file: squashfs.file,
            compressor: squashfs.superblock.compressor,
            block_size: squashfs.superblock.block_size as usize,
            fragments: squashfs.fragments()?,
            recent: Mutex::default(),
            meter,
        })
    }

    /// Hands a file's content to `put`, block by block with its offset; holes are left out.
    pub(crate) fn read(&self, piece: &Piece, mut put: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut place = piece.start;
        let mut offset = 0;
        for block in &piece.blocks {
            let expected = (piece.size - offset).min(self.block_size as u64);
            if *block != 0 {
                let content = self.block(place, *block)?;
                if content.len() as u64 != expected {
                    return Err(damaged("a file's block of a wrong length"));
                }
                put(offset, &content)?;
                place += u64::from(*block & !UNCOMPRESSED);
            }
            offset += expected;
        }
        if let Some((number, start)) = piece.fragment {
            let fragment = self.fragment(number)?;
            let (start, length) = (start as usize, (piece.size - offset) as usize); // less than a block
            let content = fragment.get(start..start + length);
            put(offset, content.ok_or_else(|| damaged("a file beyond the end of its fragment"))?)?;
        }
        Ok(())
    }

    fn block(&self, place: u64, word: u32) -> Result<Vec<u8>> {
        let size = (word & !UNCOMPRESSED) as usize;
        if size > self.block_size {
            return Err(damaged("a block larger than a block"));
        }
        let mut raw = vec![0; size];
        read_exact_at(self.file, &mut raw, place)?;
        self.meter.consume(size as u64);
        if word & UNCOMPRESSED != 0 { Ok(raw) } else { self.compressor.decompress(&raw, self.block_size) }
    }

    fn fragment(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        let place = self.fragments.get(number as usize);
        let (place, word) = *place.ok_or_else(|| damaged("a file in an unknown fragment"))?;
        let slot = self.slot(number);
        let mut content = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*content {
            return Ok(ready.clone());
        }
        let ready = Arc::new(self.block(place, word)?);
        *content = Some(ready.clone());
        Ok(ready)
    }

    fn slot(&self, number: u32) -> Arc<Slot> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = recent.iter().find(|(other, _)| *other == number) {
            return slot.clone();
        }
        if recent.len() >= MOST_RECENT {
            recent.pop_front();
        }
        let slot = Arc::new(Slot::default());
        recent.push_back((number, slot.clone()));
        slot
    }
}
