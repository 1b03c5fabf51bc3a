//! Images: inspected and unpacked, with proof that nothing left the directory and no limit was passed.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_image_format::{Image, Limits, Meter, inspect, remove_tree, tree_usage, unpack};
use nix::sys::memfd::{MFdFlags, memfd_create};

const LIMITS: Limits = Limits { max_bytes: 256 << 10, max_inodes: 48 };
const BLOCK: usize = 512;

/// A letter, then an image. `U`: a unified one; `S`: the root file system of a split one; small letters: the same, with
/// the checksums of tar headers made right first, so that what is behind them is reached.
pub fn archives(data: &[u8]) {
    let Some((form, image)) = data.split_first() else { return };
    let mut image = image.to_vec();
    if form.is_ascii_lowercase() {
        repair(&mut image);
    }
    let image = file(&image);
    let (meter, split) = (Meter::default(), form.eq_ignore_ascii_case(&b's'));
    let metadata = file(&tar(&[("metadata.yaml", b"architecture: x86_64\n")]));
    let (first, second) = if split { (&metadata, Some(&image)) } else { (&image, None) };
    if let Ok(facts) = inspect(first, second, &meter) {
        assert_eq!(facts.fingerprint.len(), 64);
    }
    PLACE.with(|place| place.get_or_init(Place::new).unpack(Image { metadata: first, rootfs: second }, &meter));
}

thread_local! {
    static PLACE: OnceCell<Place> = const { OnceCell::new() };
}

/// Where images are unpacked, with something beside it that an image must not reach.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        // In memory, if there is such a place.
        let base = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("hull-fuzz-").tempdir_in(base).expect("a temporary directory");
        std::fs::write(folder.path().join("canary"), b"sings").expect("writing the canary");
        Self { folder }
    }

    fn unpack(&self, image: Image, meter: &Meter) {
        let (outside, into) = (self.folder.path(), self.folder.path().join("into"));
        std::fs::create_dir(&into).expect("making the directory to unpack into");
        let directory = File::open(&into).expect("opening the directory to unpack into");
        let unpacked = unpack(image, directory.as_fd(), LIMITS, meter);
        assert!(meter.written() <= LIMITS.max_bytes, "{} bytes were written", meter.written());
        self.inspect_surroundings(outside);
        let usage = tree_usage(directory.into(), meter).expect("measuring what was unpacked");
        // Of a split image three names are made before anything is counted.
        assert!(usage.inodes <= LIMITS.max_inodes + 4, "{} files were made: {unpacked:?}", usage.inodes);
        if unpacked.is_ok() {
            assert!(into.join("rootfs").symlink_metadata().expect("a root file system").is_dir());
            assert!(into.join("metadata.yaml").symlink_metadata().expect("metadata").is_file());
        }
        let parent = File::open(outside).expect("opening the place");
        remove_tree(&parent, c"into", meter).expect("removing what was unpacked");
        self.inspect_surroundings(outside);
    }

    fn inspect_surroundings(&self, outside: &Path) {
        let canary = std::fs::read(outside.join("canary"));
        assert_eq!(canary.expect("the canary is there"), b"sings");
        let names = std::fs::read_dir(outside).expect("listing the place").flatten();
        let strange = names.map(|entry| entry.file_name()).find(|name| name != "canary" && name != "into");
        assert_eq!(strange, None, "something was made outside");
    }
}

fn file(content: &[u8]) -> File {
    let mut file = File::from(memfd_create(c"image", MFdFlags::MFD_CLOEXEC).expect("memory as a file"));
    file.write_all(content).expect("writing to memory");
    file
}

/// A tarball of plain files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        for field in [108, 116, 136] {
            header[field..field + 7].copy_from_slice(b"0000000");
        }
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        archive.extend(header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    repair(&mut archive);
    archive
}

/// Gives the headers of a plain tarball their checksums.
fn repair(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let digits = header[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(*byte));
        let size = digits.fold(0usize, |size, digit| size.saturating_mul(8) + usize::from(digit - b'0'));
        at = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
}
