//! Metadata: chains of compressed blocks of 8 KiB, and the tables in them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::rc::Rc;

use crate::error::Result;

use super::inode::Reference;
use super::superblock::{Superblock, damaged, half, long, read_exact_at, word};

/// An open squashfs: its tables. Content is read through [`super::Content`], by other threads too.
pub(crate) struct SquashFs<'a> {
    pub(crate) file: &'a File,
    pub(crate) superblock: Superblock,
    ids: Vec<u32>,
    attributes: Option<AttributeTable>,
    blocks: RefCell<HashMap<u64, Rc<MetadataBlock>>>,
}

/// Where the extended attributes are.
struct AttributeTable {
    values: u64,
    count: u32,
    blocks: u64,
}

struct MetadataBlock {
    content: Vec<u8>,
    next: u64,
}

const METADATA_BLOCK: usize = 8192;
const MOST_CACHED: usize = 2048; // 16 MiB

impl<'a> SquashFs<'a> {
    pub(crate) fn open(file: &'a File) -> Result<Self> {
        let superblock = Superblock::read(file)?;
        let mut opened = Self { file, superblock, ids: Vec::new(), attributes: None, blocks: RefCell::default() };
        let count = usize::from(opened.superblock.ids);
        let raw = opened.table(opened.superblock.id_table, count, 4)?;
        opened.ids = raw.chunks_exact(4).map(|id| word(id, 0)).collect();
        if opened.superblock.attribute_table != u64::MAX {
            let mut header = [0; 16];
            read_exact_at(file, &mut header, opened.superblock.attribute_table)?;
            let blocks = opened.superblock.attribute_table + 16;
            opened.attributes = Some(AttributeTable { values: long(&header, 0), count: word(&header, 8), blocks });
        }
        Ok(opened)
    }

    pub(crate) fn root(&self) -> Reference {
        Reference(self.superblock.root)
    }

    pub(crate) fn id(&self, index: u16) -> Result<u32> {
        self.ids.get(usize::from(index)).copied().ok_or_else(|| damaged("a file of an unknown owner"))
    }

    /// Start and size word of every fragment block.
    pub(crate) fn fragments(&self) -> Result<Vec<(u64, u32)>> {
        const MOST: u32 = 1 << 20; // a million blocks of small files, 16 MiB of table
        let count = self.superblock.fragments;
        if count > MOST {
            return Err(damaged("an impossible number of fragments"));
        }
        let raw = self.table(self.superblock.fragment_table, count as usize, 16)?;
        Ok(raw.chunks_exact(16).map(|entry| (long(entry, 0), word(entry, 8))).collect())
    }

    /// The extended attributes of a file that has the set of this number.
    pub(crate) fn attributes(&self, number: u32) -> Result<Vec<(CString, Vec<u8>)>> {
        const MOST: u32 = 1024;
        let Some(table) = self.attributes.as_ref().filter(|_| number != u32::MAX) else { return Ok(Vec::new()) };
        if number >= table.count {
            return Err(damaged("a file with unknown extended attributes"));
        }
        let entry = self.table_entry(table.blocks, number, 16)?;
        let mut cursor = self.cursor(table.values, long(&entry, 0))?;
        let count = word(&entry, 8);
        if count > MOST {
            return Err(damaged("a file with too many extended attributes"));
        }
        let mut attributes = Vec::new();
        for _ in 0..count {
            let (kind, length) = (cursor.half()?, cursor.half()?);
            let prefix: &[u8] = match kind & 0xff {
                0 => b"user.",
                1 => b"trusted.",
                2 => b"security.",
                _ => return Err(damaged("an extended attribute of an unknown kind")),
            };
            let name = [prefix, &cursor.take(usize::from(length))?].concat();
            let value = self.attribute_value(table, &mut cursor, kind & 0x100 != 0)?;
            let name = CString::new(name).map_err(|_| damaged("an extended attribute with an impossible name"))?;
            attributes.push((name, value));
        }
        Ok(attributes)
    }

    /// Values used twice are stored once and referred to.
    fn attribute_value(&self, table: &AttributeTable, cursor: &mut Cursor, elsewhere: bool) -> Result<Vec<u8>> {
        const LARGEST: u32 = 65536; // linux/limits.h XATTR_SIZE_MAX
        let size = cursor.word()?;
        if elsewhere {
            let place = cursor.long()?;
            return self.attribute_value(table, &mut self.cursor(table.values, place)?, false);
        }
        if size > LARGEST {
            return Err(damaged("an extended attribute larger than the kernel allows"));
        }
        cursor.take(size as usize)
    }

    pub(crate) fn inode_cursor(&self, reference: Reference) -> Result<Cursor<'_>> {
        self.cursor(self.superblock.inode_table, reference.0)
    }

    pub(crate) fn directory_cursor(&self, block: u32, offset: u16) -> Result<Cursor<'_>> {
        self.cursor(self.superblock.directory_table, u64::from(block) << 16 | u64::from(offset))
    }

    /// `place`: the block's offset from `base`, and in the low 16 bits the offset within it.
    fn cursor(&self, base: u64, place: u64) -> Result<Cursor<'_>> {
        let start = base.checked_add(place >> 16).ok_or_else(|| damaged("an impossible offset"))?;
        let block = self.metadata(start)?;
        let used = (place & 0xffff) as usize;
        if used > block.content.len() {
            return Err(damaged("a reference beyond a block's end"));
        }
        Ok(Cursor { squashfs: self, block, used })
    }

    /// `count` records of a table whose blocks' places are listed at `place`.
    fn table(&self, place: u64, count: usize, record: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        for index in 0..(count * record).div_ceil(METADATA_BLOCK) {
            content.extend_from_slice(&self.listed_block(place, index as u64)?.content);
        }
        content.truncate(count * record);
        if content.len() == count * record { Ok(content) } else { Err(damaged("a table shorter than it claims")) }
    }

    fn table_entry(&self, place: u64, index: u32, record: usize) -> Result<Vec<u8>> {
        let per_block = METADATA_BLOCK / record;
        let block = self.listed_block(place, u64::from(index) / per_block as u64)?;
        let start = index as usize % per_block * record;
        let entry = block.content.get(start..start + record);
        entry.map(<[u8]>::to_vec).ok_or_else(|| damaged("a table shorter than it claims"))
    }

    fn listed_block(&self, place: u64, index: u64) -> Result<Rc<MetadataBlock>> {
        let mut pointer = [0; 8];
        let at = place.checked_add(index * 8).ok_or_else(|| damaged("an impossible offset"))?;
        read_exact_at(self.file, &mut pointer, at)?;
        self.metadata(long(&pointer, 0))
    }

    fn metadata(&self, start: u64) -> Result<Rc<MetadataBlock>> {
        if let Some(block) = self.blocks.borrow().get(&start) {
            return Ok(block.clone());
        }
        let mut header = [0; 2];
        read_exact_at(self.file, &mut header, start)?;
        let size = usize::from(half(&header, 0) & 0x7fff);
        let mut raw = vec![0; size];
        read_exact_at(self.file, &mut raw, start + 2)?;
        let content = match half(&header, 0) & 0x8000 {
            0 => self.superblock.compressor.decompress(&raw, METADATA_BLOCK)?,
            _ if size <= METADATA_BLOCK => raw,
            _ => return Err(damaged("a block larger than a block")),
        };
        if content.is_empty() {
            return Err(damaged("an empty block")); // a chain of them would never end
        }
        let block = Rc::new(MetadataBlock { content, next: start + 2 + size as u64 });
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() >= MOST_CACHED {
            blocks.clear();
        }
        blocks.insert(start, block.clone());
        Ok(block)
    }
}

/// Reads records that may cross from one metadata block to the next.
pub(crate) struct Cursor<'a> {
    squashfs: &'a SquashFs<'a>,
    block: Rc<MetadataBlock>,
    used: usize,
}

impl Cursor<'_> {
    pub(crate) fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(METADATA_BLOCK));
        while bytes.len() < length {
            if self.used == self.block.content.len() {
                self.block = self.squashfs.metadata(self.block.next)?;
                self.used = 0;
            }
            let rest = &self.block.content[self.used..];
            let step = rest.len().min(length - bytes.len());
            bytes.extend_from_slice(&rest[..step]);
            self.used += step;
        }
        Ok(bytes)
    }

    pub(crate) fn half(&mut self) -> Result<u16> {
        Ok(half(&self.take(2)?, 0))
    }

    pub(crate) fn word(&mut self) -> Result<u32> {
        Ok(word(&self.take(4)?, 0))
    }

    pub(crate) fn long(&mut self) -> Result<u64> {
        Ok(long(&self.take(8)?, 0))
    }
}
