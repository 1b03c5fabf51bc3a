//! Inodes and directories.

use crate::error::Result;

use super::blocks::Piece;
use super::superblock::{damaged, half, word};
use super::tables::{Cursor, SquashFs};

/// Where an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference(pub(crate) u64);

#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) number: u32,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) modified: u32,
    pub(crate) links: u32,
    /// The number of its set of extended attributes, or all ones.
    pub(crate) attributes: u32,
    pub(crate) node: Node,
}

#[derive(Debug)]
pub(crate) enum Node {
    Directory { block: u32, offset: u16, size: u32 },
    File(Piece),
    SymbolicLink(Vec<u8>),
    BlockDevice { major: u32, minor: u32 },
    CharacterDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) inode: Reference,
}

const NO_ATTRIBUTES: u32 = u32::MAX;
const LONGEST_TARGET: u32 = 4095; // linux/limits.h PATH_MAX, less the NUL
/// Half a tebibyte at the usual block size: the list of a file's blocks is kept in memory.
const MOST_BLOCKS: u64 = 4 << 20;

impl SquashFs<'_> {
    pub(crate) fn inode(&self, reference: Reference) -> Result<Inode> {
        let mut cursor = self.inode_cursor(reference)?;
        let head = cursor.take(16)?;
        let kind = half(&head, 0);
        let extended = (8..=14).contains(&kind);
        let (node, links, attributes) = match kind {
            1 | 8 => directory(&mut cursor, extended)?,
            2 | 9 => self.file(&mut cursor, extended)?,
            3 | 10 => symbolic_link(&mut cursor, extended)?,
            4 | 5 | 11 | 12 => device(&mut cursor, extended, matches!(kind, 4 | 11))?,
            6 | 7 | 13 | 14 => {
                let links = cursor.word()?;
                let attributes = if extended { cursor.word()? } else { NO_ATTRIBUTES };
                (if matches!(kind, 6 | 13) { Node::Fifo } else { Node::Socket }, links, attributes)
            }
            _ => return Err(damaged("an inode of an unknown kind")),
        };
        Ok(Inode {
            number: word(&head, 12),
            mode: u32::from(half(&head, 2)) & 0o7777,
            owner: self.id(half(&head, 4))?,
            group: self.id(half(&head, 6))?,
            modified: word(&head, 8),
            links,
            attributes,
            node,
        })
    }

    fn file(&self, cursor: &mut Cursor, extended: bool) -> Result<(Node, u32, u32)> {
        let (start, size, links, fragment, offset, attributes) = if extended {
            let (start, size, _sparse) = (cursor.long()?, cursor.long()?, cursor.long()?);
            let (links, fragment, offset) = (cursor.word()?, cursor.word()?, cursor.word()?);
            (start, size, links, fragment, offset, cursor.word()?)
        } else {
            let (start, fragment, offset) = (cursor.word()?, cursor.word()?, cursor.word()?);
            (u64::from(start), u64::from(cursor.word()?), 1, fragment, offset, NO_ATTRIBUTES)
        };
        let block_size = u64::from(self.superblock.block_size);
        let fragment = (fragment != u32::MAX).then_some((fragment, offset));
        let count = if fragment.is_some() { size / block_size } else { size.div_ceil(block_size) };
        if count > MOST_BLOCKS {
            return Err(damaged("a file larger than is supported"));
        }
        let list = cursor.take(count as usize * 4)?;
        let blocks = list.chunks_exact(4).map(|block| word(block, 0)).collect();
        Ok((Node::File(Piece { start, size, blocks, fragment }), links, attributes))
    }

    /// Every entry of a directory, in the image's order. Calls `each`, so that a hostile one is not kept in memory.
    pub(crate) fn entries(&self, directory: &Node, mut each: impl FnMut(DirectoryEntry) -> Result<()>) -> Result<()> {
        let Node::Directory { block, offset, size } = *directory else { return Err(damaged("a root that is a file")) };
        let mut left = u64::from(size).saturating_sub(3); // `.` and `..` are counted but not there
        if left == 0 {
            return Ok(());
        }
        let mut cursor = self.directory_cursor(block, offset)?;
        while left > 0 {
            let header = cursor.take(12)?;
            let (count, start) = (word(&header, 0), word(&header, 4));
            left = left.checked_sub(12).ok_or_else(|| damaged("a directory shorter than it claims"))?;
            if count >= 256 {
                return Err(damaged("a directory with an impossible number of entries"));
            }
            for _ in 0..=count {
                let entry = cursor.take(8)?;
                let name = cursor.take(usize::from(half(&entry, 6)) + 1)?;
                let used = 8 + name.len() as u64;
                left = left.checked_sub(used).ok_or_else(|| damaged("a directory shorter than it claims"))?;
                let inode = Reference(u64::from(start) << 16 | u64::from(half(&entry, 0)));
                each(DirectoryEntry { name, inode })?;
            }
        }
        Ok(())
    }
}

fn directory(cursor: &mut Cursor, extended: bool) -> Result<(Node, u32, u32)> {
    if extended {
        let (links, size, block, _parent) = (cursor.word()?, cursor.word()?, cursor.word()?, cursor.word()?);
        let (_indexes, offset) = (cursor.half()?, cursor.half()?);
        return Ok((Node::Directory { block, offset, size }, links, cursor.word()?));
    }
    let (block, links) = (cursor.word()?, cursor.word()?);
    let (size, offset) = (cursor.half()?, cursor.half()?);
    Ok((Node::Directory { block, offset, size: u32::from(size) }, links, NO_ATTRIBUTES))
}

fn symbolic_link(cursor: &mut Cursor, extended: bool) -> Result<(Node, u32, u32)> {
    let (links, size) = (cursor.word()?, cursor.word()?);
    if size == 0 || size > LONGEST_TARGET {
        return Err(damaged("a symbolic link to an impossible name"));
    }
    let target = cursor.take(size as usize)?;
    Ok((Node::SymbolicLink(target), links, if extended { cursor.word()? } else { NO_ATTRIBUTES }))
}

fn device(cursor: &mut Cursor, extended: bool, block: bool) -> Result<(Node, u32, u32)> {
    let (links, number) = (cursor.word()?, cursor.word()?);
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    let node = if block { Node::BlockDevice { major, minor } } else { Node::CharacterDevice { major, minor } };
    Ok((node, links, if extended { cursor.word()? } else { NO_ATTRIBUTES }))
}
