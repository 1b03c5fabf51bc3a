//! Small images that ask for much memory or a deep stack: refused, or unpacked within bounds.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hull_image_format::{Error, Image, Limits, Meter, inspect, remove_tree, tree_usage, unpack};

const METADATA: &[u8] = b"architecture: x86_64\n";
const PLENTY: Limits = Limits { max_bytes: 1 << 40, max_inodes: 1 << 30 };

fn header(name: &str, kind: tar::EntryType, size: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size as u64);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An entry with its content and padding.
fn entry(name: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, content.len());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A gzipped unified image of these entries.
fn image(folder: &Path, entries: impl Iterator<Item = Vec<u8>>) -> File {
    let path = folder.join("image.tar.gz");
    let mut gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
    gzip.write_all(&entry("metadata.yaml", tar::EntryType::Regular, METADATA)).unwrap();
    gzip.write_all(&entry("rootfs/", tar::EntryType::Directory, b"")).unwrap();
    entries.for_each(|entry| gzip.write_all(&entry).unwrap());
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap();
    File::open(path).unwrap()
}

fn unpacked(folder: &Path, metadata: &File, rootfs: Option<&File>) -> Result<(), Error> {
    let into = folder.join("into");
    std::fs::create_dir(&into).unwrap();
    let directory = File::open(&into).unwrap();
    unpack(Image { metadata, rootfs }, directory.as_fd(), PLENTY, &Meter::default())
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn long_names_of_directories_are_not_kept_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("rootfs/{}", format!("{}/", "d".repeat(250)).repeat(15));
    let directories = (0..17_000).flat_map(|number| {
        let long = entry("././@LongLink", tar::EntryType::GNULongName, format!("{deep}{number}/\0").as_bytes());
        [long, entry("x", tar::EntryType::Directory, b"")]
    });
    let image = image(folder.path(), directories);
    let error = unpacked(folder.path(), &image, None).unwrap_err();
    assert!(matches!(&error, Error::Corrupt(why) if why.contains("long names")), "{error}");
}

#[test]
fn maps_in_global_headers_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let records = "24 GNU.sparse.offset=00\n26 GNU.sparse.numbytes=00\n".repeat(20_000);
    let repeated = (0..200).flat_map(|_| {
        let global = entry("g", tar::EntryType::XGlobalHeader, records.as_bytes());
        [global, entry("elsewhere", tar::EntryType::Regular, b"x")]
    });
    let image = image(folder.path(), repeated);
    unpacked(folder.path(), &image, None).unwrap();
    assert!(peak_memory() < 128 << 20, "{} MiB", peak_memory() >> 20);
}

#[test]
fn files_of_very_many_blocks_are_not_queued() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for number in 0..2 {
        let file = File::create(tree.join(format!("large{number}"))).unwrap();
        file.set_len((300 << 20) + number).unwrap(); // 75 thousand blocks of a hole
    }
    let squashed = folder.path().join("root.squashfs");
    let made = Command::new("mksquashfs").args([&tree, &squashed]).args(["-b", "4096", "-no-progress"]).output();
    assert!(made.unwrap().status.success());
    let metadata = folder.path().join("metadata.tar");
    let content = [entry("metadata.yaml", tar::EntryType::Regular, METADATA), vec![0; 1024]].concat();
    std::fs::write(&metadata, content).unwrap();
    let (metadata, rootfs) = (File::open(metadata).unwrap(), File::open(squashed).unwrap());
    unpacked(folder.path(), &metadata, Some(&rootfs)).unwrap();
    let large = std::fs::metadata(folder.path().join("into/rootfs/large1")).unwrap();
    assert_eq!((large.len(), large.blocks()), ((300 << 20) + 1, 0));
}

#[test]
fn empty_xz_streams_need_no_stack() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar.xz");
    let compress = |content: &[u8]| {
        std::fs::write(folder.path().join("plain"), content).unwrap();
        Command::new("xz").arg("--stdout").arg(folder.path().join("plain")).output().unwrap().stdout
    };
    let tarball = [
        entry("metadata.yaml", tar::EntryType::Regular, METADATA),
        entry("rootfs/", tar::EntryType::Directory, b""),
        vec![0; 1024],
    ];
    let mut file = compress(&tarball.concat());
    let empty = compress(b"");
    assert_eq!(empty.len(), 32);
    (0..200_000).for_each(|_| file.extend_from_slice(&empty));
    std::fs::write(&path, file).unwrap();
    unpacked(folder.path(), &File::open(path).unwrap(), None).unwrap();
}

#[test]
fn a_directory_of_very_many_names_needs_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree/deep");
    std::fs::create_dir_all(&tree).unwrap();
    let name = |number: u32| tree.join(format!("{number:0>250}"));
    File::create(name(0)).unwrap();
    for number in 1..100_000 {
        match number % 10 {
            0 => std::fs::create_dir(name(number)).unwrap(),
            _ => std::fs::hard_link(name(number - number % 10_000), name(number))
                .or_else(|_| touch(&name(number)))
                .unwrap(),
        }
    }
    let expected = inodes(&folder.path().join("tree"));
    let before = peak_memory();
    let parent = File::open(folder.path()).unwrap();
    let opened = File::open(folder.path().join("tree")).unwrap();
    let usage = tree_usage(opened.into(), &Meter::default()).unwrap();
    assert_eq!(usage.inodes, expected);
    remove_tree(&parent, c"tree", &Meter::default()).unwrap();
    assert!(!folder.path().join("tree").exists());
    let grown = peak_memory() - before;
    assert!(grown < 12 << 20, "{} MiB", grown >> 20);
}

fn touch(path: &Path) -> std::io::Result<()> {
    File::create(path).map(drop)
}

fn inodes(tree: &Path) -> u64 {
    let listed = Command::new("find").arg(tree).args(["-printf", "%i\n"]).output().unwrap();
    let mut numbers: Vec<_> = listed.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len() as u64
}

#[test]
fn an_impossible_table_of_fragments_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, squashed) = (folder.path().join("tree"), folder.path().join("root.squashfs"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "x").unwrap();
    let made = Command::new("mksquashfs").args([&tree, &squashed]).arg("-no-progress").output();
    assert!(made.unwrap().status.success());
    let file = File::options().write(true).open(&squashed).unwrap();
    file.write_all_at(&(2u32 << 20).to_le_bytes(), 16).unwrap(); // the superblock's count of fragments
    let metadata = folder.path().join("metadata.tar");
    let content = [entry("metadata.yaml", tar::EntryType::Regular, METADATA), vec![0; 1024]].concat();
    std::fs::write(&metadata, content).unwrap();
    let (metadata, rootfs) = (File::open(metadata).unwrap(), File::open(squashed).unwrap());
    let error = unpacked(folder.path(), &metadata, Some(&rootfs)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt(why) if why.contains("impossible number")), "{error}");
}

#[test]
fn the_search_for_metadata_in_an_endless_image_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar.gz");
    let compress = |content: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    };
    let mut head = tar::Header::new_gnu();
    head.set_path("filler").unwrap();
    head.set_size(60 << 30);
    head.set_cksum();
    let mut file = compress(head.as_bytes());
    let zeros = compress(&vec![0; 16 << 20]);
    (0..60 << 6).for_each(|_| file.extend_from_slice(&zeros));
    std::fs::write(&path, file).unwrap();
    let (file, meter) = (File::open(path).unwrap(), Meter::default());
    let result = std::thread::scope(|scope| {
        let search = scope.spawn(|| inspect(&file, None, &meter));
        std::thread::sleep(Duration::from_millis(50));
        meter.cancel();
        search.join().unwrap()
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
}
