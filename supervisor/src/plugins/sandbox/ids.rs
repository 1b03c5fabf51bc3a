//! Host ids for sandboxes: one block of 65536 a plugin, from a range that neither distributions nor containers use.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::plan::IdLine;

const BLOCK: u32 = 65_536;
/// Above systemd's container range, below 2^31 minus systemd's foreign range.
const FIRST: u32 = 0x7000_0000;
const BLOCKS: u32 = 0x0ff0;

/// Whom containers belong to when /etc/subuid says nothing about root.
const DEFAULT_RANGE: IdLine = IdLine { inside: 1_000_000, outside: 1_000_000, count: 1_000_000_000 };

/// The first id of the block of `name` under `hull_dir`: the owner of its state directory if that has one, so that it stays
/// the same; else chosen by name, apart from those that other plugins' directories have.
pub(super) fn block(hull_dir: &Path, name: &str) -> u32 {
    let plugins = hull_dir.join("plugins");
    if let Some(owner) = owned_block(&plugins.join(name)) {
        return owner;
    }
    let entries = fs::read_dir(&plugins).into_iter().flatten().flatten();
    let taken: Vec<u32> = entries.filter_map(|entry| owned_block(&entry.path())).collect();
    let mut hasher = DefaultHasher::new();
    (hull_dir, name).hash(&mut hasher);
    let start = u32::try_from(hasher.finish() % u64::from(BLOCKS)).unwrap_or(0);
    let candidates = (0..BLOCKS).map(|step| FIRST + (start + step) % BLOCKS * BLOCK);
    candidates.into_iter().find(|block| !taken.contains(block)).unwrap_or(FIRST)
}

/// Makes a directory that belongs to the first id of a block.
pub(super) fn own_directory(path: &Path, owner: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if fs::symlink_metadata(path)?.uid() != owner {
        std::os::unix::fs::lchown(path, Some(owner), Some(owner))?;
    }
    Ok(())
}

fn owned_block(path: &Path) -> Option<u32> {
    let owner = fs::symlink_metadata(path).ok()?.uid();
    (owner >= FIRST && (owner - FIRST).is_multiple_of(BLOCK) && (owner - FIRST) / BLOCK < BLOCKS).then_some(owner)
}

/// All of a block as the ids from 0 on.
pub(super) fn whole_block(block: u32) -> Vec<IdLine> {
    vec![IdLine { inside: 0, outside: block, count: BLOCK }]
}

/// One own id, and those that root may give to containers, onto themselves. `file` is /etc/subuid or /etc/subgid.
pub(super) fn instance_ids(block: u32, file: &Path) -> Vec<IdLine> {
    let mut lines = vec![IdLine { inside: 0, outside: block, count: 1 }];
    lines.extend(given(&fs::read_to_string(file).unwrap_or_default()));
    lines
}

/// The largest range that an instance can have, as its first id on the host and how many: a distribution needs 65536.
pub(crate) fn instance_range(file: &Path) -> (u32, u32) {
    instance_range_in(&fs::read_to_string(file).unwrap_or_default())
}

/// The same, of what stands in the file.
pub(crate) fn instance_range_in(text: &str) -> (u32, u32) {
    let largest = given(text).into_iter().max_by_key(|line| line.count).unwrap_or(DEFAULT_RANGE);
    (largest.outside, largest.count)
}

/// What the file gives to root, and the default if none of that is enough for a distribution (or there is no such file).
fn given(text: &str) -> Vec<IdLine> {
    let lines = parse(text, &[]);
    if lines.iter().any(|line| line.count >= BLOCK) { lines } else { parse(text, &[DEFAULT_RANGE]) }
}

/// root's ranges, in order and without overlaps, which the kernel would refuse; nor do they reach Hull's own blocks.
fn parse(text: &str, others: &[IdLine]) -> Vec<IdLine> {
    let mut ranges: Vec<(u32, u32)> = text.lines().filter_map(parse_line).collect();
    ranges.extend(others.iter().map(|line| (line.outside, line.outside.saturating_add(line.count))));
    ranges.sort_unstable();
    let mut lines: Vec<IdLine> = Vec::new();
    for (first, end) in ranges {
        let free_from = lines.last().map_or(1, |line| line.inside + line.count);
        let (first, end) = (first.max(free_from), end.min(FIRST));
        if first < end {
            lines.push(IdLine { inside: first, outside: first, count: end - first });
        }
    }
    lines
}

fn parse_line(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    let user = fields.next()?;
    let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
    matches!(user, "root" | "0").then(|| (first, first.saturating_add(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_disjoint_whatever_the_file_says() {
        let lines = parse("lxd:5:5\nroot:100000:65536\nroot:150000:65536\n0:0:10\nroot:x:y\nroot:4294967295:9\n", &[]);
        assert_eq!(lines[0], IdLine { inside: 1, outside: 1, count: 9 });
        assert_eq!(lines[1], IdLine { inside: 100_000, outside: 100_000, count: 65_536 });
        assert_eq!(lines[2], IdLine { inside: 165_536, outside: 165_536, count: 50_000 });
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_instance_gets_what_its_driver_has_whatever_the_file_says() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("subuid");
        for (text, expected) in [
            ("root:1000000:1000000000\n", (1_000_000, 1_000_000_000)),
            ("alice:100000:65536\nroot:165536:65536\nroot:300000:70000\nroot:x:y\n", (300_000, 70_000)),
            ("", (1_000_000, 1_000_000_000)),
            ("alice:100000:65536\n", (1_000_000, 1_000_000_000)),
            ("root:100000:1000\n", (1_000_000, 1_000_000_000)), // too few for a distribution
            ("root:1:4294967295\n", (1, FIRST - 1)),
        ] {
            fs::write(&file, text).unwrap();
            let (first, count) = instance_range(&file);
            assert_eq!((first, count), expected, "{text:?}");
            let has = instance_ids(FIRST, &file);
            assert!(
                has.iter().any(|line| line.inside <= first && first + count <= line.inside + line.count),
                "{text:?}"
            );
        }
        assert_eq!(instance_range(place.path()), (1_000_000, 1_000_000_000), "a directory in its place");
    }

    #[test]
    fn a_block_stays_with_its_plugin_and_two_never_share_one() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("plugins")).unwrap();
        let mut seen = Vec::new();
        for number in 0..40 {
            let name = format!("storage-{number}");
            let block = block(place.path(), &name);
            own_directory(&place.path().join("plugins").join(&name), block).unwrap();
            assert_eq!(super::block(place.path(), &name), block);
            assert!(!seen.contains(&block));
            seen.push(block);
        }
    }
}
