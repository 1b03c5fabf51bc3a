//! Copying a tree, directory by directory, on all processors and with few system calls.
//!
//! Blocks are shared where the file system can, else copied by the kernel, small files through a buffer. Kept: owners,
//! modes, times, extended attributes, ACLs, capabilities, hard links within the tree, holes, devices, fifos and sockets.
//! The source may change meanwhile (a running guest): nothing is followed, what vanishes is left out.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hull_sys::attribute;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, copy_file_range, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::unistd::{Whence, lseek};

use crate::error::{Doing, Error, Result, system};
use crate::meter::Meter;

use super::attributes::Attributes;
use super::make::{
    Special, adopt_directory, create_file, duplicate, finish_directory, finish_file, make_directory, make_link,
    make_special,
};
use super::place::{joined, open_beneath};
use super::usage::DEEPEST;
use super::write::Writer;

/// Copies what is in `from`, and `from`'s own attributes, to the empty directory `to`.
///
/// # Errors
/// `Unsupported`: nested deeper than 512 directories, or more names to remember than memory allows: of directories whose
/// turn has not come, of files that have further names. `to` then holds a part.
pub fn copy_tree(from: OwnedFd, to: OwnedFd, meter: &Meter) -> Result<()> {
    crate::unpack::own_modes();
    let root = duplicate(&to)?;
    let pair = Arc::new(Pair { from, to });
    let first = Job { parent: pair, name: c".".to_owned(), path: Vec::new(), depth: 0 };
    let kept = AtomicU64::new(first.weight());
    let copy = Copy {
        root,
        meter,
        queue: Mutex::new(Queue { waiting: vec![first], busy: 0, failure: None }),
        changed: Condvar::new(),
        linked: Mutex::new(HashMap::new()),
        kept,
        shares_blocks: AtomicBool::new(true),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|| copy.work());
        }
        copy.work();
    });
    copy.queue.into_inner().unwrap_or_else(PoisonError::into_inner).failure.map_or(Ok(()), Err)
}

const MOST_WORKERS: usize = 4;
const SMALL: usize = 256 << 10;
const STEP: usize = 16 << 20;
/// More than unpacking takes, as trees grow; four copies at once stay within what a driver's process may have.
const MOST_KEPT: u64 = 96 << 20;

/// A directory and its copy.
struct Pair {
    from: OwnedFd,
    to: OwnedFd,
}

/// A directory whose copy exists, empty. Opened only when its turn comes, so that breadth costs no descriptors.
struct Job {
    parent: Arc<Pair>,
    name: CString,
    path: Vec<u8>,
    depth: u32,
}

/// What a map's entry, a vector and a reference take beside the names.
const OVERHEAD: u64 = 160;

impl Job {
    fn weight(&self) -> u64 {
        OVERHEAD + (self.name.count_bytes() + self.path.len()) as u64
    }
}

impl Linked {
    fn weight(&self) -> u64 {
        OVERHEAD + (self.name.count_bytes() + self.directory.len()) as u64
    }
}

struct Queue {
    /// Last in, first out: depth first, so that few parents stay open.
    waiting: Vec<Job>,
    busy: usize,
    failure: Option<Error>,
}

struct Copy<'a> {
    root: OwnedFd,
    meter: &'a Meter,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Files of several names: where the first one is in the copy.
    linked: Mutex<HashMap<u64, Linked>>,
    /// Bytes of `linked` and of the jobs that wait.
    kept: AtomicU64,
    /// Until the file system says no.
    shares_blocks: AtomicBool,
}

/// A file whose further names are still to come.
struct Linked {
    directory: Vec<u8>,
    name: CString,
    left: libc::nlink_t,
}

/// What one worker uses again and again.
struct Buffers {
    content: Vec<u8>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl Copy<'_> {
    fn work(&self) {
        let mut buffers = Buffers { content: vec![0; SMALL], names: vec![0; 64 << 10], value: vec![0; 64 << 10] };
        while let Some(job) = self.take() {
            let result = self.directory(&job, &mut buffers);
            let mut queue = lock(&self.queue);
            queue.busy -= 1;
            if let Err(error) = result {
                queue.failure.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }

    /// The next directory; `None` when all is done or has failed.
    fn take(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.failure.is_some() {
                return None;
            }
            if let Some(job) = queue.waiting.pop() {
                self.forget(job.weight());
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn directory(&self, job: &Job, buffers: &mut Buffers) -> Result<()> {
        if job.depth > DEEPEST {
            return Err(Error::Unsupported(format!("directories are nested deeper than {DEEPEST}")));
        }
        let from = match adopt_directory(&job.parent.from, &job.name) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()), // gone meanwhile
            result => result.doing("open the directory", &job.path)?,
        };
        let to = adopt_directory(&job.parent.to, &job.name).doing("open the directory", &job.path)?;
        let pair = Arc::new(Pair { from, to });
        let status = fstat(&pair.from).doing("look at", &job.path)?;
        let attributes = open_attributes(&pair.from, &status, &job.path, buffers)?;
        let reader = adopt_directory(&pair.from, c".").and_then(Dir::from_fd);
        let mut entries = reader.doing("read the directory", &job.path)?;
        let mut below = Vec::new();
        for entry in entries.iter() {
            let entry = entry.doing("read the directory", &job.path)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.meter.go_on()?;
            if self.entry(&pair, job, name, entry.file_type(), buffers)? == Type::Directory {
                let path = joined(&job.path, name);
                let job = Job { parent: pair.clone(), name: name.to_owned(), path, depth: job.depth + 1 };
                self.keep(job.weight())?;
                below.push(job);
            }
        }
        finish_directory(pair.to.as_fd(), &attributes, &job.path)?;
        if !below.is_empty() {
            lock(&self.queue).waiting.append(&mut below);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Copies one entry, of a directory only the name, and says what it was.
    fn entry(&self, pair: &Pair, job: &Job, name: &CStr, kind: Option<Type>, buffers: &mut Buffers) -> Result<Type> {
        let status = match kind {
            Some(kind @ (Type::File | Type::Directory)) => return self.common(pair, job, name, kind, buffers),
            _ => match fstatat(&pair.from, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) => return Ok(Type::File),
                result => result.doing("look at", &joined(&job.path, name))?,
            },
        };
        let device = status.st_rdev;
        let what = match SFlag::from_bits_truncate(status.st_mode & libc::S_IFMT) {
            SFlag::S_IFREG => return self.common(pair, job, name, Type::File, buffers),
            SFlag::S_IFDIR => return self.common(pair, job, name, Type::Directory, buffers),
            SFlag::S_IFLNK => match readlinkat(&pair.from, name) {
                Ok(target) => Special::SymbolicLink(CString::new(target.into_vec()).unwrap_or_default()),
                Err(Errno::ENOENT | Errno::EINVAL) => return Ok(Type::File),
                Err(error) => return Err(system("read the symbolic link", name.to_bytes(), error)),
            },
            SFlag::S_IFIFO => Special::Fifo,
            SFlag::S_IFSOCK => Special::Socket,
            SFlag::S_IFCHR => Special::CharacterDevice(device),
            _ => Special::BlockDevice(device),
        };
        let attributes = named_attributes(&pair.from, name, &status, buffers)?;
        self.once(pair, job, name, &status, || make_special(&pair.to, name, &what, &attributes))?;
        Ok(Type::Symlink)
    }

    fn common(&self, pair: &Pair, job: &Job, name: &CStr, kind: Type, buffers: &mut Buffers) -> Result<Type> {
        if kind == Type::Directory {
            make_directory(&pair.to, name).doing("make the directory", &joined(&job.path, name))?;
            return Ok(kind);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let from = match openat(&pair.from, name, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(kind), // gone meanwhile
            Err(error) => return Err(system("open", &joined(&job.path, name), error)),
        };
        let status = fstat(&from).doing("look at", name.to_bytes())?;
        if status.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Ok(kind); // became something else meanwhile
        }
        let attributes = open_attributes(&from, &status, name.to_bytes(), buffers)?;
        let mut created = None;
        self.once(pair, job, name, &status, || {
            created = Some(create_file(&pair.to, name, &attributes).doing("make the file", &joined(&job.path, name))?);
            Ok(())
        })?;
        if let Some(to) = created {
            let size = status.st_size.cast_unsigned();
            let sparse = status.st_blocks * 512 < status.st_size;
            let copied = self.content(&from, &to, size, sparse, buffers);
            copied.map_err(|source| Error::System {
                action: "copy",
                name: crate::error::printable(name.to_bytes()),
                source,
            })?;
            finish_file(&to, &attributes, name.to_bytes())?;
        }
        Ok(kind)
    }

    /// Makes a file by `make`, or, if it has several names and one of them is copied already, by a hard link.
    fn once(
        &self,
        pair: &Pair,
        job: &Job,
        name: &CStr,
        status: &libc::stat,
        make: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if status.st_nlink < 2 {
            return make();
        }
        let mut linked = lock(&self.linked);
        if let Some(first) = linked.get_mut(&status.st_ino) {
            let directory = open_beneath(&self.root, &first.directory).doing("open the directory", &first.directory)?;
            make_link(&directory, &first.name, &pair.to, name).doing("link", &joined(&job.path, name))?;
            first.left -= 1;
            if first.left == 0 {
                self.forget(first.weight());
                linked.remove(&status.st_ino);
            }
            return Ok(());
        }
        make()?;
        let first = Linked { directory: job.path.clone(), name: name.to_owned(), left: status.st_nlink - 1 };
        self.keep(first.weight())?;
        linked.insert(status.st_ino, first);
        Ok(())
    }

    fn keep(&self, bytes: u64) -> Result<()> {
        if self.kept.fetch_add(bytes, Relaxed).saturating_add(bytes) > MOST_KEPT {
            return Err(Error::Unsupported("it has too many directories side by side, or too many hard links".into()));
        }
        Ok(())
    }

    fn forget(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Relaxed);
    }

    fn content(&self, from: &File, to: &File, size: u64, sparse: bool, buffers: &mut Buffers) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        if self.shares_blocks.load(Relaxed) {
            match hull_sys::reflink::share_blocks(from, to) {
                Ok(()) => {
                    self.meter.write(size);
                    return Ok(());
                }
                Err(Errno::EOPNOTSUPP | Errno::EXDEV | Errno::EINVAL | Errno::ENOTTY | Errno::EPERM) => {
                    self.shares_blocks.store(false, Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if sparse {
            return self.segments(from, to, size, &mut buffers.content);
        }
        self.range(from, to, 0, size, &mut buffers.content)
    }

    /// Data between holes.
    fn segments(&self, from: &File, to: &File, size: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while at < size {
            let start = match lseek(from, at.cast_signed(), Whence::SeekData) {
                Err(Errno::ENXIO) => break, // only a hole to the end
                result => result?.cast_unsigned(),
            };
            let end = lseek(from, start.cast_signed(), Whence::SeekHole)?.cast_unsigned().min(size);
            self.range(from, to, start, end, buffer)?;
            at = end;
        }
        to.set_len(size)
    }

    fn range(&self, from: &File, to: &File, start: u64, end: u64, buffer: &mut [u8]) -> io::Result<()> {
        if end.saturating_sub(start) <= SMALL as u64 {
            return self.through(from, to, start, end, buffer);
        }
        let mut at = start;
        while at < end && self.meter.go_on().is_ok() {
            let (mut source, mut target) = (at.cast_signed(), at.cast_signed());
            let step = usize::try_from(end - at).unwrap_or(STEP).min(STEP);
            match copy_file_range(from, Some(&mut source), to, Some(&mut target), step) {
                Ok(0) => break, // it shrank meanwhile
                Ok(length) => {
                    at += length as u64;
                    self.meter.write(length as u64);
                }
                Err(Errno::EXDEV | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                    return self.through(from, to, at, end, buffer);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn through(&self, from: &File, to: &File, start: u64, end: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut writer = Writer::new(to);
        writer.seek(start);
        let mut at = start;
        while at < end {
            let step = usize::try_from(end - at).unwrap_or(buffer.len()).min(buffer.len());
            let length = from.read_at(&mut buffer[..step], at)?;
            if length == 0 {
                break;
            }
            writer.write(&buffer[..length])?;
            at += length as u64;
            self.meter.write(length as u64);
        }
        writer.finish(at)
    }
}

fn open_attributes(fd: impl AsFd, status: &libc::stat, name: &[u8], buffers: &mut Buffers) -> Result<Attributes> {
    let Buffers { names, value, .. } = buffers;
    let length = match attribute::list(&fd, names) {
        Err(Errno::EOPNOTSUPP) => 0,
        result => result.doing("list the extended attributes of", name)?,
    };
    let extended = values(&names[..length], |attribute| {
        attribute::value(&fd, attribute, value).map(|length| value[..length].to_vec())
    });
    Ok(with_status(status, extended.doing("read an extended attribute of", name)?))
}

fn named_attributes(
    directory: &OwnedFd,
    name: &CStr,
    status: &libc::stat,
    buffers: &mut Buffers,
) -> Result<Attributes> {
    let Buffers { names, value, .. } = buffers;
    let length = match attribute::list_at(directory, name, names) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOENT | Errno::EPERM) => 0,
        result => result.doing("list the extended attributes of", name.to_bytes())?,
    };
    let extended = values(&names[..length], |attribute| {
        attribute::value_at(directory, name, attribute, value).map(|length| value[..length].to_vec())
    });
    Ok(with_status(status, extended.doing("read an extended attribute of", name.to_bytes())?))
}

fn values(names: &[u8], mut read: impl FnMut(&CStr) -> nix::Result<Vec<u8>>) -> nix::Result<Vec<(CString, Vec<u8>)>> {
    let mut extended = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        match read(name) {
            Ok(value) => extended.push((name.to_owned(), value)),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {} // gone meanwhile, or not for us to read
            Err(error) => return Err(error),
        }
    }
    Ok(extended)
}

fn with_status(status: &libc::stat, extended: Vec<(CString, Vec<u8>)>) -> Attributes {
    Attributes {
        owner: status.st_uid,
        group: status.st_gid,
        mode: status.st_mode & 0o7777,
        modified: (status.st_mtime, u32::try_from(status.st_mtime_nsec).unwrap_or(0)),
        extended,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
