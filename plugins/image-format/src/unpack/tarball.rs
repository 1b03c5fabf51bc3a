//! Tar entries to files.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::archive::{Archive, Entry, Kind};
use crate::error::{Doing, Error, Result, printable, system};
use crate::metadata::LARGEST_METADATA;
use crate::meter::{Budget, Meter};
use crate::tree::{
    Attributes, Parents, Place, Special, Writer, create_file, finish_directory, finish_file, make_directory, make_link,
    make_special, open_beneath,
};

/// What a tarball is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of an image.
    Unified,
    /// An image's `metadata.yaml` and `templates`.
    MetadataOnly,
    /// A root file system.
    Rootfs,
}

/// Unpacks a stream into the directory `into`. Returns how many device nodes were left out.
pub(crate) fn unpack(input: impl Read, into: BorrowedFd, scope: Scope, budget: &Budget, meter: &Meter) -> Result<u64> {
    let mut archive = Archive::new(input);
    let mut unpacking = Unpacking {
        root: into,
        scope,
        budget,
        meter,
        parents: Parents::new(into),
        directories: BTreeMap::new(),
        devices: HashSet::new(),
        left_out: 0,
        buffer: vec![0; 128 << 10],
    };
    while let Some(entry) = archive.next()? {
        meter.go_on()?;
        unpacking.entry(entry, &mut archive)?;
    }
    archive.finish()?;
    unpacking.finish()?;
    Ok(unpacking.left_out)
}

/// To which part of an image an entry belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything is kept.
    Rootfs,
    /// Plain files and directories of root.
    Templates,
    Metadata,
}

struct Unpacking<'a> {
    root: BorrowedFd<'a>,
    scope: Scope,
    budget: &'a Budget,
    meter: &'a Meter,
    parents: Parents<'a>,
    /// All directories made so far with what they get in the end.
    directories: BTreeMap<Vec<u8>, Attributes>,
    /// Device nodes left out: further names of theirs are, too.
    devices: HashSet<Vec<u8>>,
    left_out: u64,
    buffer: Vec<u8>,
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: Entry, content: &mut impl Read) -> Result<()> {
        let place = Place::parse(&entry.path)?;
        let Some(part) = self.part(&place) else { return Ok(()) };
        self.budget.spend_inode()?;
        let attributes = checked(part, &entry)?;
        self.budget.spend_bytes(attributes.weight())?;
        if entry.kind == Kind::Directory {
            return self.directory(place.as_bytes(), attributes);
        }
        let Some((parent, name)) = place.split_last() else {
            return Err(Error::corrupt("the archive's root is not a directory"));
        };
        let parent = self.ensure(parent)?;
        match entry.kind {
            Kind::File => self.file(&entry, &parent, &name, &attributes, content),
            Kind::HardLink => self.hard_link(&entry, part, &parent, &name),
            _ => {
                let what = special(&entry)?;
                self.replacing(&parent, &name, &entry.path)?;
                if what.is_device() {
                    return self.leave_out(place.as_bytes());
                }
                make_special(&*parent, &name, &what, &attributes)
            }
        }
    }

    fn leave_out(&mut self, device: &[u8]) -> Result<()> {
        self.budget.spend_memory(kept(device, 0))?;
        self.devices.insert(device.to_vec());
        self.left_out += 1;
        Ok(())
    }

    /// `None`: not of the image.
    fn part(&self, place: &Place) -> Option<Part> {
        let (first, rest) = place.split_first();
        match (self.scope, first) {
            (Scope::Rootfs, _) | (Scope::Unified, b"rootfs") => Some(Part::Rootfs),
            (_, b"templates") => Some(Part::Templates),
            (_, b"metadata.yaml") if rest.is_empty() => Some(Part::Metadata),
            _ => None,
        }
    }

    fn ensure(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        let Self { parents, directories, budget, .. } = self;
        parents.ensure(path, |made| {
            budget.spend_inode()?;
            budget.spend_memory(kept(made, 0))?;
            directories.insert(made.to_vec(), Attributes::plain(0o755));
            Ok(())
        })
    }

    fn directory(&mut self, path: &[u8], attributes: Attributes) -> Result<()> {
        if !path.is_empty() {
            let place = Place::parse(path)?;
            let Some((parent, name)) = place.split_last() else { return Ok(()) };
            let parent = self.ensure(parent)?;
            match make_directory(&*parent, &name) {
                Ok(()) => {}
                // Named twice: the last one says what it is like. What is there must be a directory, though.
                Err(Errno::EEXIST) => drop(self.parents.open(path)?),
                Err(error) => return Err(system("make the directory", path, error)),
            }
        }
        self.budget.spend_memory(kept(path, attributes.weight()))?;
        self.directories.insert(path.to_vec(), attributes);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &CStr,
        attributes: &Attributes,
        content: &mut impl Read,
    ) -> Result<()> {
        let file = match create_file(parent, name, attributes) {
            Err(Errno::EEXIST) => {
                self.replacing(parent, name, &entry.path)?;
                create_file(parent, name, attributes)
            }
            result => result,
        };
        let file = file.doing("make the file", &entry.path)?;
        match &entry.sparse {
            None => self.fill(&file, entry, &[(0, entry.size)], entry.size, content)?,
            Some(map) => self.fill(&file, entry, &map.segments, map.size, content)?,
        }
        finish_file(&file, attributes, &entry.path)
    }

    fn fill(
        &mut self,
        file: &File,
        entry: &Entry,
        segments: &[(u64, u64)],
        size: u64,
        content: &mut impl Read,
    ) -> Result<()> {
        let failed = |source| Error::System { action: "write", name: printable(&entry.path), source };
        let mut writer = Writer::new(file);
        for (offset, length) in segments {
            writer.seek(*offset);
            let mut left = *length;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                let read = content.read(&mut self.buffer[..most]);
                let length = read.map_err(|error| Error::reading("the archive", error))?;
                if length == 0 {
                    return Err(Error::corrupt("the archive is truncated"));
                }
                self.budget.spend_bytes(length as u64)?;
                self.meter.go_on()?;
                writer.write(&self.buffer[..length]).map_err(failed)?;
                self.meter.write(length as u64);
                left -= length as u64;
            }
        }
        writer.finish(size).map_err(failed)
    }

    /// A second name for what the archive brought before, within the same part.
    fn hard_link(&mut self, entry: &Entry, part: Part, parent: &OwnedFd, name: &CStr) -> Result<()> {
        let refuse = |why: &str| {
            let (path, link) = (printable(&entry.path), printable(&entry.link));
            Err(Error::Corrupt(format!("the archive has the hard link `{path}` to `{link}`: {why}")))
        };
        let target = match Place::parse(&entry.link) {
            Ok(target) if self.part(&target) == Some(part) && part == Part::Rootfs => target,
            _ => return refuse("it leaves the image's root file system"),
        };
        let Some((directory, old)) = target.split_last() else { return refuse("it is the root itself") };
        let directory = self.parents.open(directory)?;
        if target == Place::parse(&entry.path)? {
            return Ok(()); // a name for itself
        }
        self.budget.spend_memory(kept(&entry.path, 0))?; // it costs who copies the tree as much
        self.replacing(parent, name, &entry.path)?;
        match make_link(&*directory, &old, parent, name) {
            Err(Errno::ENOENT) if self.devices.contains(target.as_bytes()) => {
                self.leave_out(Place::parse(&entry.path)?.as_bytes())
            }
            Err(Errno::ENOENT) => refuse("there is no such file"),
            Err(Errno::EPERM) => refuse("that is a directory"),
            result => result.doing("link", &entry.path),
        }
    }

    /// Named twice: the last one counts. Directories are never replaced.
    fn replacing(&self, parent: &OwnedFd, name: &CStr, path: &[u8]) -> Result<()> {
        match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EISDIR) => Err(Error::Corrupt(format!(
                "the archive replaces the directory `{}` by something else",
                printable(path)
            ))),
            Err(error) => Err(system("replace", path, error)),
        }
    }

    /// Gives the directories their attributes, those below first.
    fn finish(&self) -> Result<()> {
        for (path, attributes) in self.directories.iter().rev() {
            let directory = open_beneath(self.root, path).doing("open the directory", path)?;
            finish_directory(std::os::fd::AsFd::as_fd(&directory), attributes, path)?;
        }
        if self.scope == Scope::Rootfs {
            return Ok(());
        }
        for name in [c"rootfs", c"templates"] {
            expect_directory(self.root, name)?;
        }
        Ok(())
    }
}

/// Bytes in memory of a directory that is finished at the end.
fn kept(path: &[u8], attributes: u64) -> u64 {
    path.len() as u64 + attributes + 200
}

/// What the entry may have where it is.
fn checked(part: Part, entry: &Entry) -> Result<Attributes> {
    let refuse = |why: &str| Err(Error::Corrupt(format!("the archive's `{}` {why}", printable(&entry.path))));
    match (part, entry.kind) {
        (Part::Rootfs, _) => {}
        (Part::Metadata, Kind::File) if entry.real_size() <= LARGEST_METADATA => return Ok(plain(entry, 0o600)),
        (Part::Metadata, Kind::File) => return refuse("is larger than 1 MiB"),
        (Part::Templates, Kind::File) => return Ok(plain(entry, 0o600)),
        (Part::Templates, Kind::Directory) => return Ok(plain(entry, 0o700)),
        (Part::Metadata | Part::Templates, _) => return refuse("is not a plain file"),
    }
    Ok(Attributes {
        owner: entry.owner,
        group: entry.group,
        mode: entry.mode,
        modified: entry.modified,
        extended: entry.attributes.clone(),
    })
}

fn plain(entry: &Entry, mode: u32) -> Attributes {
    Attributes { modified: entry.modified, ..Attributes::plain(mode) }
}

fn special(entry: &Entry) -> Result<Special> {
    let (major, minor) = entry.device;
    let device = libc::makedev(major as u32, minor as u32);
    Ok(match entry.kind {
        Kind::SymbolicLink => {
            let broken = |_| Error::Corrupt(format!("the archive's link `{}` has a NUL in it", printable(&entry.path)));
            let target = CString::new(entry.link.as_slice()).map_err(broken)?;
            if target.is_empty() || target.count_bytes() > 4095 {
                let path = printable(&entry.path);
                return Err(Error::Corrupt(format!("the archive's link `{path}` points at an impossible name")));
            }
            Special::SymbolicLink(target)
        }
        Kind::CharacterDevice => Special::CharacterDevice(device),
        Kind::BlockDevice => Special::BlockDevice(device),
        Kind::Fifo => Special::Fifo,
        Kind::File | Kind::HardLink | Kind::Directory => {
            return Err(Error::corrupt("the archive is damaged")); // handled before
        }
    })
}

/// Not a link to elsewhere that somebody later follows.
fn expect_directory(root: BorrowedFd, name: &CStr) -> Result<()> {
    match fstatat(root, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(status) if status.st_mode & libc::S_IFMT == libc::S_IFDIR => Ok(()),
        Ok(_) => Err(Error::Corrupt(format!("the archive's `{}` is not a directory", printable(name.to_bytes())))),
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(system("look at", name.to_bytes(), error)),
    }
}
