//! A tree with everything that must survive, and a description of a tree to compare.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// What is kept of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) modified: i64,
    pub(super) links: u64,
    pub(super) device: u64,
    pub(super) content: Vec<u8>,
    pub(super) attributes: BTreeMap<OsString, Vec<u8>>,
}

/// Everything below `root`, itself included, by relative path.
pub(super) fn describe(root: &Path) -> BTreeMap<PathBuf, Kept> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let here = root.join(&path);
        let status = fs::symlink_metadata(&here).unwrap();
        let kind = status.file_type();
        if kind.is_dir() {
            waiting.extend(fs::read_dir(&here).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        }
        let content = match () {
            () if kind.is_file() => fs::read(&here).unwrap(),
            () if kind.is_symlink() => fs::read_link(&here).unwrap().into_os_string().into_encoded_bytes(),
            () => Vec::new(),
        };
        let names = xattr::list(&here).unwrap();
        let attributes = names.map(|name| (name.clone(), xattr::get(&here, name).unwrap().unwrap())).collect();
        let kept = Kept {
            mode: status.mode(),
            owner: (status.uid(), status.gid()),
            modified: status.mtime(),
            links: if kind.is_dir() { 0 } else { status.nlink() },
            device: status.rdev(),
            content,
            attributes,
        };
        found.insert(path, kept);
    }
    found
}

pub(super) const SPARSE_SIZE: u64 = 64 << 20;

/// Owners, modes, times, attributes, ACLs, capabilities, hard links, devices, fifos, holes.
pub(super) fn make_everything(root: &Path) {
    let at = |name: &str| root.join(name);
    for directory in ["bin", "dev", "etc", "var/deep/er", "tmp", "empty"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("bin/su"), b"#!su").unwrap();
    chown(at("bin/su"), Some(0), Some(42)).unwrap();
    fs::set_permissions(at("bin/su"), Permissions::from_mode(0o6755)).unwrap();
    fs::write(at("bin/ping"), vec![7; 300_000]).unwrap();
    run("setcap", &["cap_net_raw+ep", at("bin/ping").to_str().unwrap()]);
    fs::write(at("etc/shadow"), b"root:*").unwrap();
    chown(at("etc/shadow"), Some(1000), Some(100_042)).unwrap();
    fs::set_permissions(at("etc/shadow"), Permissions::from_mode(0o640)).unwrap();
    xattr::set(at("etc/shadow"), "user.note", b"bin\0ary\n").unwrap();
    fs::write(at("etc/name with \n line"), b"x").unwrap();
    fs::write(at("etc").join("n".repeat(200)), b"long").unwrap();
    fs::write(at("empty/none"), b"").unwrap();
    fs::hard_link(at("etc/shadow"), at("var/deep/er/shadow-too")).unwrap();
    fs::hard_link(at("etc/shadow"), at("etc/a-third")).unwrap();
    symlink("/etc/shadow", at("var/deep/absolute")).unwrap();
    lchown(at("var/deep/absolute"), Some(5), Some(6)).unwrap();
    symlink("../../no/where", at("var/dangling")).unwrap();
    let node = |name: &str, kind, mode, device| mknod(&at(name), kind, Mode::from_bits_truncate(mode), device).unwrap();
    node("dev/deleted", SFlag::S_IFCHR, 0o600, makedev(0, 0)); // as overlayfs says it
    node("dev/fifo", SFlag::S_IFIFO, 0o620, 0);
    chown(at("dev/fifo"), Some(0), Some(6)).unwrap();
    let sparse = File::create(at("var/sparse")).unwrap();
    sparse.write_all_at(b"start", 0).unwrap();
    sparse.write_all_at(b"middle", 20 << 20).unwrap();
    sparse.set_len(SPARSE_SIZE).unwrap();
    File::create(at("var/only-a-hole")).unwrap().set_len(1 << 20).unwrap();
    fs::set_permissions(at("tmp"), Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(at("empty"), Permissions::from_mode(0o2500)).unwrap();
    for name in ["bin/su", "etc/shadow", "var/deep", "tmp", "dev/fifo"] {
        run("touch", &["-d", "@1234567890", at(name).to_str().unwrap()]);
    }
    run("touch", &["-h", "-d", "@1234567", at("var/dangling").to_str().unwrap()]);
}

/// Device nodes, one of them with two names: no image's arrive.
pub(super) fn add_devices(root: &Path) {
    let at = |name: &str| root.join(name);
    let node = |name: &str, kind, mode, device| mknod(&at(name), kind, Mode::from_bits_truncate(mode), device).unwrap();
    node("dev/null", SFlag::S_IFCHR, 0o666, makedev(1, 3));
    node("etc/loop300", SFlag::S_IFBLK, 0o660, makedev(7, 300));
    chown(at("etc/loop300"), Some(0), Some(6)).unwrap();
    fs::hard_link(at("etc/loop300"), at("var/loop300")).unwrap();
}

/// ACLs, which squashfs cannot keep.
pub(super) fn add_acls(root: &Path) {
    let at = |name: &str| root.join(name).into_os_string().into_string().unwrap();
    run("setfacl", &["-m", "u:1234:r,m::rwx", &at("bin/su")]);
    run("setfacl", &["-d", "-m", "g:4321:rwx", &at("var/deep")]);
    run("touch", &["-d", "@1234567890", &at("var/deep")]);
}

pub(super) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Bytes on disk.
pub(super) fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}
