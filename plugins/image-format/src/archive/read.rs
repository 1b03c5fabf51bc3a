//! From bytes to entries.

use std::ffi::CString;
use std::io::{self, Read};

use crate::error::{Error, Result, printable};

use super::header::{BLOCK, Header, Kind};
use super::pax::{Extended, SparseRecords};
use super::sparse::Map;

/// A stream of entries. The content of the last one is read with [`Read`], or skipped by asking for the next.
pub(crate) struct Archive<R> {
    input: R,
    /// Content of the current entry still to come.
    remaining: u64,
    /// Zeros after it, up to the block's end.
    padding: u64,
    global: Extended,
}

/// One entry, with all its headers taken together.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As the archive spells it.
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) modified: (i64, u32),
    pub(crate) attributes: Vec<(CString, Vec<u8>)>,
    pub(crate) device: (u64, u64),
    /// Bytes of content in the archive.
    pub(crate) size: u64,
    pub(crate) sparse: Option<Map>,
}

impl Entry {
    /// The file's, holes included.
    pub(crate) fn real_size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, |map| map.size)
    }
}

/// What stands before an entry: names and records for it.
#[derive(Default)]
struct Before {
    extended: Extended,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// Bytes of all of them together.
    size: u64,
}

const MOST_BEFORE: u64 = 2 << 20;

impl<R: Read> Archive<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0, global: Extended::default() }
    }

    /// The next entry, or `None` at the archive's end mark.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut before = Before::default();
        loop {
            self.skip(self.remaining + self.padding)?;
            (self.remaining, self.padding) = (0, 0);
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::parse(&block)?;
            match header.type_flag() {
                b'x' | b'X' => before.extended.add(&self.extra(&header, &mut before.size)?)?,
                b'g' => {
                    let records = self.extra(&header, &mut before.size)?;
                    self.global.add(&records)?;
                    self.global.attributes.truncate(MOST_GLOBAL_ATTRIBUTES);
                    self.global.sparse = SparseRecords::default(); // a map is one file's
                }
                b'L' => before.path = Some(without_end(self.extra(&header, &mut before.size)?)),
                b'K' => before.link = Some(without_end(self.extra(&header, &mut before.size)?)),
                flag => {
                    if let Some(entry) = self.entry(&header, flag, std::mem::take(&mut before))? {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }

    /// Reads on to the end of the stream, so that a damaged or truncated rest is noticed.
    pub(crate) fn finish(mut self) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.input.read(&mut buffer).map_err(|error| Error::reading("the archive", error))? > 0 {}
        Ok(())
    }

    fn entry(&mut self, header: &Header, flag: u8, before: Before) -> Result<Option<Entry>> {
        let Before { mut extended, path, link, .. } = before;
        let mut size = extended.size.or(self.global.size).map_or_else(|| header.size(), Ok)?;
        let path = extended.path.take().or(path).or(self.global.path.clone()).unwrap_or_else(|| header.path());
        let kind = match flag {
            b'0' | 0 if path.ends_with(b"/") => Some(Kind::Directory), // as before ustar
            b'0' | 0 | b'7' | b'S' => Some(Kind::File),
            b'1' => Some(Kind::HardLink),
            b'2' => Some(Kind::SymbolicLink),
            b'3' => Some(Kind::CharacterDevice),
            b'4' => Some(Kind::BlockDevice),
            b'5' => Some(Kind::Directory),
            b'6' => Some(Kind::Fifo),
            _ => None,
        };
        let Some(kind) = kind else {
            tracing::debug!(path = %printable(&path), flag, "an archive entry of an unknown type is skipped");
            self.expect(size)?;
            return Ok(None);
        };
        if !matches!(kind, Kind::File) {
            size = 0; // whatever the header says: old archives repeat the size of a hard link's target
        }
        let mut sparse = (flag == b'S').then(|| Map::gnu(header, &mut self.input, size)).transpose()?;
        self.expect(size)?;
        let records = std::mem::take(&mut extended.sparse);
        if sparse.is_none() && kind == Kind::File && (records.in_content || records.real_size.is_some()) {
            let (map, taken) = Map::pax(records, &mut self.input, size)?;
            self.remaining -= taken;
            size -= taken;
            sparse = Some(map);
        }
        let device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice).then(|| header.device()).transpose()?;
        let mut attributes = extended.attributes;
        for global in &self.global.attributes {
            if attributes.iter().all(|(name, _)| *name != global.0) {
                attributes.push(global.clone());
            }
        }
        Ok(Some(Entry {
            path,
            link: extended.link.or(link).or(self.global.link.clone()).unwrap_or_else(|| header.link()),
            kind,
            mode: header.mode()?,
            owner: extended.owner.or(self.global.owner).map_or_else(|| header.owner(), Ok)?,
            group: extended.group.or(self.global.group).map_or_else(|| header.group(), Ok)?,
            modified: match extended.modified.or(self.global.modified) {
                Some(time) => time,
                None => (header.modified()?, 0),
            },
            attributes,
            device: device.unwrap_or_default(),
            size,
            sparse,
        }))
    }

    /// The content of a header about the next entry.
    fn extra(&mut self, header: &Header, total: &mut u64) -> Result<Vec<u8>> {
        let size = header.size()?;
        *total = total.saturating_add(size).saturating_add(BLOCK as u64);
        if *total > MOST_BEFORE {
            return Err(Error::corrupt("the archive has an extended header larger than 2 MiB"));
        }
        self.expect(size)?;
        let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.fill(&mut content)?;
        self.remaining = 0;
        Ok(content)
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        if size > i64::MAX.cast_unsigned() {
            return Err(Error::corrupt("the archive is damaged: an entry has an impossible size"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.read_exact(buffer).map_err(|error| Error::reading("the archive", error))
    }

    fn skip(&mut self, mut length: u64) -> Result<()> {
        let mut buffer = [0; 16 << 10];
        while length > 0 {
            let step = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(&mut buffer[..step])?;
            length -= step as u64;
        }
        Ok(())
    }
}

const MOST_GLOBAL_ATTRIBUTES: usize = 16;

/// The content of the current entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.input.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= length as u64;
        Ok(length)
    }
}

/// GNU's long names end in NUL.
fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}
