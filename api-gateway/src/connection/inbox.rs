//! Bytes received and not yet used.

use std::io;

use crate::descriptor::Descriptor;

/// A buffer filled at its end and used from its start. Holds no memory until something arrives.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// As if these bytes had been received.
    pub(crate) fn append(&mut self, received: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(received);
        self.end = self.bytes.len();
    }

    /// Receives at least one byte more, up to `capacity` unused ones in all; 0 is the end.
    /// The caller sees to it that less than `capacity` is filled.
    pub(crate) async fn receive(&mut self, from: &Descriptor, capacity: usize) -> io::Result<usize> {
        if self.bytes.len() < capacity {
            from.readable().await?;
            self.bytes.resize(capacity, 0);
        }
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = from.read(&mut self.bytes[self.end..]).await?;
        self.end += read;
        Ok(read)
    }
}
