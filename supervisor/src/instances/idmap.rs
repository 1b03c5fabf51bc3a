//! Which host ids the users of unprivileged instances are.

use std::path::Path;

use hull_plugin::instance::{IdMap, IdRange};

use crate::plugins::instance_range;

/// The map of an instance that asks for nothing special: the largest range that its driver has from `/etc/subuid` and
/// `/etc/subgid`, or LXD's default.
pub(super) fn default_map() -> IdMap {
    let range = |path: &str| {
        let (outside, count) = instance_range(Path::new(path));
        vec![IdRange { inside: 0, outside, count }]
    };
    IdMap { users: range("/etc/subuid"), groups: range("/etc/subgid") }
}

/// The map of a process's user namespace, as the host sees it.
pub(super) fn of_process(pid: i32) -> std::io::Result<IdMap> {
    let ranges = |file: &str| -> std::io::Result<Vec<IdRange>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
        Ok(text.lines().filter_map(range_of).collect())
    };
    Ok(IdMap { users: ranges("uid_map")?, groups: ranges("gid_map")? })
}

fn range_of(line: &str) -> Option<IdRange> {
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(IdRange { inside: next()?, outside: next()?, count: next()? })
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
    fn writes_lxd_notation() {
        let range = IdRange { inside: 0, outside: 1_000_000, count: 1_000_000_000 };
        let text = volatile(&IdMap { users: vec![range], groups: vec![] });
        assert_eq!(text, r#"[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]"#);
    }
}
