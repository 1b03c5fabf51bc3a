//! Decompressing in a thread of its own while another one writes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

/// The reading end. Dropping it ends the thread at its next block.
pub(crate) struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    used: usize,
    ended: bool,
}

const BLOCK: usize = 256 << 10;
const MOST_BLOCKS: usize = 8;

impl ReadAhead {
    pub(crate) fn start<'scope>(scope: &'scope Scope<'scope, '_>, input: impl Read + Send + 'scope) -> Self {
        let (sender, blocks) = sync_channel(MOST_BLOCKS);
        scope.spawn(move || {
            let mut input = input;
            loop {
                let block = read_block(&mut input);
                let last = !matches!(&block, Ok(bytes) if !bytes.is_empty());
                if sender.send(block).is_err() || last {
                    return;
                }
            }
        });
        Self { blocks, current: Vec::new(), used: 0, ended: false }
    }
}

/// A full block, a shorter last one, an empty one at the end.
fn read_block(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    input.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            let next = self.blocks.recv().unwrap_or_else(|_| Err(io::Error::other("the decompressor ended early")));
            self.current = next.inspect_err(|_| self.ended = true)?;
            self.used = 0;
            self.ended = self.current.is_empty();
        }
        let length = buffer.len().min(self.current.len() - self.used);
        buffer[..length].copy_from_slice(&self.current[self.used..self.used + length]);
        self.used += length;
        Ok(length)
    }
}
