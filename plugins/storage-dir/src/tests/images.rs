//! Image files, made by the usual tools or, if they are hostile, by hand.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::trees::run;

pub(super) const METADATA: &str = "architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  os: Test\n\
    templates:\n  /etc/hostname:\n    when: [create]\n    template: hostname.tpl\n";

/// A directory `name` in `place` laid out as a unified image; `fill` makes its root file system.
pub(super) fn lay_out(place: &Path, name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let root = place.join(name);
    fs::create_dir_all(root.join("rootfs")).unwrap();
    fs::create_dir(root.join("templates")).unwrap();
    fs::write(root.join("metadata.yaml"), METADATA).unwrap();
    fs::write(root.join("templates/hostname.tpl"), "{{ container.name }}\n").unwrap();
    fill(&root.join("rootfs"));
    root
}

/// With GNU tar, of these members; `options` choose compression and format.
pub(super) fn pack(directory: &Path, file: &Path, options: &[&str], members: &[&str]) {
    let (directory, file) = (directory.to_str().unwrap(), file.to_str().unwrap());
    let fixed = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", directory, "-cf", file];
    run("tar", &[options, &fixed, members].concat());
}

pub(super) fn squash(directory: &Path, file: &Path, options: &[&str]) {
    let fixed = [directory.to_str().unwrap(), file.to_str().unwrap(), "-no-progress", "-noappend", "-quiet"];
    run("mksquashfs", &[&fixed[..], options].concat());
}

/// A unified image whose archive is written entry by entry.
pub(super) struct Forged {
    builder: tar::Builder<File>,
    path: PathBuf,
}

impl Forged {
    /// Starts with valid metadata and `rootfs/`.
    pub(super) fn new(place: &Path, name: &str) -> Self {
        let mut forged = Self::empty(place, name);
        forged.entry(EntryType::Regular, "metadata.yaml", "", METADATA.as_bytes());
        forged.entry(EntryType::Directory, "rootfs/", "", b"");
        forged
    }

    pub(super) fn empty(place: &Path, name: &str) -> Self {
        let path = place.join(name);
        Self { builder: tar::Builder::new(File::create(&path).unwrap()), path }
    }

    /// Names go into the header as they are: the tar crate would refuse most of ours.
    pub(super) fn entry(&mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.entry(EntryType::Regular, path, "", content)
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    pub(super) fn finish(mut self) -> PathBuf {
        self.builder.finish().unwrap();
        self.path
    }
}

/// `length` bytes of a file in a new one.
pub(super) fn cut(file: &Path, length: usize) -> PathBuf {
    let path = file.with_extension(format!("cut{length}"));
    fs::write(&path, &fs::read(file).unwrap()[..length]).unwrap();
    path
}

/// A copy with one byte changed.
pub(super) fn damaged(file: &Path, at: usize) -> PathBuf {
    let path = file.with_extension(format!("bad{at}"));
    let mut content = fs::read(file).unwrap();
    content[at] ^= 0x5a;
    File::create(&path).unwrap().write_all(&content).unwrap();
    path
}
