//! Writing content with holes where it is zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes one file front to back; whole blocks of zeros become holes.
pub(crate) struct Writer<'a> {
    file: &'a File,
    offset: u64,
    /// The end of what the file system knows of.
    end: u64,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, offset: 0, end: 0 }
    }

    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let mut start = 0; // of what is not yet written
        let mut at = 0;
        while at < content.len() {
            let block = &content[at..content.len().min(at + BLOCK)];
            if block.len() == BLOCK && is_zero(block) {
                self.put(&content[start..at])?;
                self.offset += BLOCK as u64;
                start = at + BLOCK;
            }
            at += block.len();
        }
        self.put(&content[start..])
    }

    /// Goes on at `offset`; what lies between is a hole.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Gives the file its full length.
    pub(crate) fn finish(self, size: u64) -> io::Result<()> {
        if self.end < size { self.file.set_len(size) } else { Ok(()) }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.file.write_all_at(bytes, self.offset)?;
            self.offset += bytes.len() as u64;
            self.end = self.offset;
        }
        Ok(())
    }
}

fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    block[0] == 0 && words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

const BLOCK: usize = 4096;
