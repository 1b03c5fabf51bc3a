//! Which host ids the users of unprivileged instances are.

use hull_plugin::instance::{IdMap, IdRange};

/// What is used when the host sets nothing aside for root in `/etc/subuid`: LXD's default.
const FALLBACK: IdRange = IdRange { inside: 0, outside: 1_000_000, count: 1_000_000_000 };

/// Containers whose root could not own at least this many ids would not boot a distribution.
const SMALLEST: u32 = 65_536;

/// The map of an instance that asks for nothing special: the largest range of root in `/etc/subuid` and `/etc/subgid`.
pub(super) fn default_map() -> IdMap {
    IdMap { users: vec![largest("/etc/subuid")], groups: vec![largest("/etc/subgid")] }
}

fn largest(path: &str) -> IdRange {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    largest_in(&text).unwrap_or(FALLBACK)
}

/// Lines are `owner:first:count` (`man 5 subuid`).
pub(super) fn largest_in(text: &str) -> Option<IdRange> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        if owner != "root" && owner != "0" {
            return None;
        }
        Some(IdRange { inside: 0, outside: first.parse().ok()?, count: count.parse().ok()? })
    });
    ranges.filter(|range| range.count >= SMALLEST).max_by_key(|range| range.count)
}

/// LXD's `volatile.idmap.*` notation.
pub(super) fn volatile(map: &IdMap) -> String {
    let entry = |range: &IdRange, users: bool| {
        let (host, inside, count) = (range.outside, range.inside, range.count);
        format!(r#"{{"Isuid":{users},"Isgid":{},"Hostid":{host},"Nsid":{inside},"Maprange":{count}}}"#, !users)
    };
    let users = map.users.iter().map(|range| entry(range, true));
    let groups = map.groups.iter().map(|range| entry(range, false));
    format!("[{}]", users.chain(groups).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_roots_largest_range() {
        let text = "alice:100000:65536\nroot:165536:65536\nroot:1000000:1000000000\n# comment\nroot:x:y\n";
        assert_eq!(largest_in(text), Some(FALLBACK));
        assert_eq!(largest_in("alice:100000:65536\n"), None);
        assert_eq!(largest_in("root:100000:1000\n"), None);
    }

    #[test]
    fn writes_lxd_notation() {
        let text = volatile(&IdMap { users: vec![FALLBACK], groups: vec![] });
        assert_eq!(text, r#"[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]"#);
    }
}
