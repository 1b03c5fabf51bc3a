//! Squashfs inodes to files: one thread makes the tree, others fill the files.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::libc;

use crate::error::{Doing, Error, Result, printable};
use crate::meter::{Budget, Meter};
use crate::squashfs::{Content, DirectoryEntry, Inode, Node, Piece, Reference, SquashFs};
use crate::tree::{
    Attributes, Special, Writer, component, create_file, finish_directory, finish_file, joined, make_directory,
    make_link, make_special, open_beneath,
};

/// Unpacks the whole of a squashfs into the empty directory `into`. Returns how many device nodes were left out.
pub(crate) fn unpack(file: &File, into: BorrowedFd, budget: &Budget, meter: &Meter) -> Result<u64> {
    let squashfs = SquashFs::open(file)?;
    let content = Content::new(&squashfs, meter)?;
    let (sender, jobs) = sync_channel(MOST_WAITING);
    let pool = Filling { content, budget, meter, jobs: Mutex::new(jobs), failure: Mutex::new(None) };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    let made = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| pool.work());
        }
        let mut making = Making {
            squashfs: &squashfs,
            root: into,
            budget,
            meter,
            pool: &pool,
            sender,
            linked: HashMap::new(),
            left_out: 0,
        };
        making.all().map(|()| making.left_out)
    });
    // Without its workers the maker cannot go on: theirs is the reason, its own only follows from it.
    pool.failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(made, Err)
}

const MOST_WORKERS: usize = 4;
const MOST_WAITING: usize = 64;
/// What a file may have that waits in the queue: its list of blocks and its attributes are in memory.
const MOST_WAITING_BLOCKS: usize = 64 << 10;
const MOST_WAITING_WEIGHT: u64 = 256 << 10;
const LONGEST_PATH: usize = 4095; // linux/limits.h PATH_MAX, less the NUL

/// Directories made but not yet filled, the last one first: a loop of them ends at the longest path.
type Waiting = Vec<(Vec<u8>, Reference)>;

/// An open new file and what belongs in it.
struct Job {
    file: File,
    name: CString,
    piece: Piece,
    attributes: Attributes,
}

struct Filling<'a> {
    content: Content<'a>,
    budget: &'a Budget,
    meter: &'a Meter,
    jobs: Mutex<Receiver<Job>>,
    failure: Mutex<Option<Error>>,
}

impl Filling<'_> {
    fn work(&self) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            if self.failed() {
                continue; // only empty the queue
            }
            if let Err(error) = self.fill(&job) {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }

    fn failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn fill(&self, job: &Job) -> Result<()> {
        let name = job.name.to_bytes();
        let failed = |source| Error::System { action: "write", name: printable(name), source };
        let mut writer = Writer::new(&job.file);
        self.content.read(&job.piece, |offset, block| {
            self.meter.go_on()?;
            self.budget.spend_bytes(block.len() as u64)?;
            writer.seek(offset);
            writer.write(block).map_err(failed)?;
            self.meter.write(block.len() as u64);
            Ok(())
        })?;
        writer.finish(job.piece.size).map_err(failed)?;
        finish_file(&job.file, &job.attributes, name)
    }
}

struct Making<'a> {
    squashfs: &'a SquashFs<'a>,
    root: BorrowedFd<'a>,
    budget: &'a Budget,
    meter: &'a Meter,
    pool: &'a Filling<'a>,
    sender: SyncSender<Job>,
    /// Files of several names: where the first one is.
    linked: HashMap<u32, (Vec<u8>, CString)>,
    /// Device nodes.
    left_out: u64,
}

impl Making<'_> {
    fn all(&mut self) -> Result<()> {
        let root = self.squashfs.inode(self.squashfs.root())?;
        if !matches!(root.node, Node::Directory { .. }) {
            return Err(Error::corrupt("the squashfs is damaged: its root is not a directory"));
        }
        self.budget.spend_inode()?;
        let mut waiting = vec![(Vec::new(), self.squashfs.root())];
        while let Some((path, reference)) = waiting.pop() {
            let directory = open_beneath(self.root, &path).doing("open the directory", &path)?;
            self.directory(&directory, &path, reference, &mut waiting)?;
        }
        Ok(())
    }

    /// Makes all that is in a directory; of its subdirectories only the names, which go to `waiting`.
    fn directory(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        reference: Reference,
        waiting: &mut Waiting,
    ) -> Result<()> {
        let squashfs = self.squashfs;
        let inode = squashfs.inode(reference)?;
        squashfs.entries(&inode.node, |DirectoryEntry { name, inode }| {
            self.meter.go_on()?;
            if self.pool.failed() {
                return Err(Error::Cancelled);
            }
            self.entry(directory, path, &component(&name)?, inode, waiting)
        })?;
        // What is made in the subdirectories later changes nothing here.
        let attributes = self.attributes(&inode)?;
        self.budget.spend_bytes(attributes.weight())?;
        finish_directory(directory.as_fd(), &attributes, path)
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        path: &[u8],
        name: &CStr,
        reference: Reference,
        waiting: &mut Waiting,
    ) -> Result<()> {
        self.budget.spend_inode()?;
        let inode = self.squashfs.inode(reference)?;
        let here = joined(path, name);
        if matches!(inode.node, Node::Directory { .. }) {
            make_directory(parent, name).map_err(|error| twice(error, "make the directory", &here))?;
            if here.len() > LONGEST_PATH {
                return Err(Error::corrupt("the image has a path longer than 4095 bytes"));
            }
            self.budget.spend_memory(here.len() as u64 + 100)?;
            waiting.push((here, reference));
            return Ok(());
        }
        if device(&inode.node).is_some_and(|device| device.is_device()) {
            self.left_out += 1;
            return Ok(());
        }
        if inode.links > 1 {
            if let Some((directory, first)) = self.linked.get(&inode.number) {
                let directory = open_beneath(self.root, directory).doing("open the directory", directory)?;
                return make_link(&directory, first, parent, name).map_err(|error| twice(error, "link", &here));
            }
            self.budget.spend_memory(here.len() as u64 + 200)?;
            self.linked.insert(inode.number, (path.to_vec(), name.to_owned()));
        }
        let attributes = self.attributes(&inode)?;
        self.budget.spend_bytes(attributes.weight())?;
        let what = match inode.node {
            Node::File(piece) => {
                let file = create_file(parent, name, &attributes);
                let file = file.map_err(|error| twice(error, "make the file", &here))?;
                let large = piece.blocks.len() > MOST_WAITING_BLOCKS || attributes.weight() > MOST_WAITING_WEIGHT;
                let job = Job { file, name: name.to_owned(), piece, attributes };
                if large {
                    return self.pool.fill(&job); // not many of them in the queue
                }
                return self.sender.send(job).map_err(|_| Error::Cancelled);
            }
            Node::SymbolicLink(target) => {
                let nul = |_| Error::corrupt("the squashfs is damaged: a symbolic link has a NUL in it");
                Special::SymbolicLink(CString::new(target).map_err(nul)?)
            }
            Node::Fifo => Special::Fifo,
            node => device(&node).unwrap_or(Special::Socket),
        };
        make_special(parent, name, &what, &attributes)
    }

    fn attributes(&self, inode: &Inode) -> Result<Attributes> {
        Ok(Attributes {
            owner: inode.owner,
            group: inode.group,
            mode: inode.mode,
            modified: (i64::from(inode.modified), 0),
            extended: self.squashfs.attributes(inode.attributes)?,
        })
    }
}

fn device(node: &Node) -> Option<Special> {
    match *node {
        Node::BlockDevice { major, minor } => Some(Special::BlockDevice(libc::makedev(major, minor))),
        Node::CharacterDevice { major, minor } => Some(Special::CharacterDevice(libc::makedev(major, minor))),
        _ => None,
    }
}

fn twice(error: Errno, action: &'static str, path: &[u8]) -> Error {
    match error {
        Errno::EEXIST => Error::Corrupt(format!("the image has `{}` twice", printable(path))),
        _ => crate::error::system(action, path, error),
    }
}
