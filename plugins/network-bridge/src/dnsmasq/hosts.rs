//! What dnsmasq knows about NICs: a file each in a directory that it watches.
//!
//! dnsmasq takes new lines at once but forgets none, and refuses a line with an address that an older one has. So the
//! lines taken back are noted in `withdrawn`, and a new line that contradicts one of them calls for a new process.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use hull_plugin::DriverError;

use super::settings::HOSTS;
use crate::config::Mac;
use crate::state::{Durability, write_file};

/// Whether the running dnsmasq can have a new line right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Memory {
    Fits,
    /// It remembers something that contradicts: [`super::renew`].
    Stale,
}

/// The line for a NIC; `None` if there is nothing to say about it. `name` has been checked to be one DNS label.
pub(crate) fn host_line(mac: Mac, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>, name: Option<&str>) -> Option<String> {
    let ipv4 = ipv4.map(|address| address.to_string());
    let ipv6 = ipv6.map(|address| format!("[{address}]"));
    let parts: Vec<_> = [ipv4, ipv6, name.map(str::to_owned)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{mac},{}", parts.join(",")))
}

/// Puts the NIC's line in place of its older one, or takes that back. `key` is a file name.
pub(crate) fn set_host(directory: &Path, key: &str, line: Option<&str>) -> Result<Memory, DriverError> {
    let path = directory.join(HOSTS).join(key);
    let old = std::fs::read_to_string(&path).ok();
    let old = old.as_deref().map(str::trim_end);
    if old == line {
        return Ok(Memory::Fits);
    }
    let failed = |error: io::Error| DriverError::system(&error, format!("cannot write `{}`", path.display()));
    let mut withdrawn = withdrawn(directory);
    if let Some(old) = old.filter(|old| !withdrawn.iter().any(|line| line == old)) {
        withdrawn.push(old.to_owned());
        let list = withdrawn.join("\n") + "\n";
        write_file(&directory.join(WITHDRAWN), list.as_bytes(), Durability::Process).map_err(failed)?;
    }
    let Some(line) = line else {
        std::fs::remove_file(&path).map_err(failed)?;
        return Ok(Memory::Fits);
    };
    std::fs::create_dir_all(directory.join(HOSTS)).map_err(failed)?;
    // Written elsewhere and moved: dnsmasq would read half a file.
    let draft = directory.join(format!("draft-{key}"));
    std::fs::write(&draft, format!("{line}\n")).map_err(failed)?;
    std::fs::rename(&draft, &path).map_err(failed)?;
    let stale = withdrawn.len() > PATIENCE || withdrawn.iter().any(|old| contradicts(old, line));
    Ok(if stale { Memory::Stale } else { Memory::Fits })
}

/// How often dnsmasq was told to forget; part of its settings, so that a new number means a new process.
pub(super) fn generation(directory: &Path) -> u64 {
    let text = std::fs::read_to_string(directory.join(GENERATION)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The next dnsmasq to be started is a new one, and remembers nothing.
pub(super) fn next_generation(directory: &Path) -> io::Result<()> {
    let next = generation(directory) + 1;
    write_file(&directory.join(GENERATION), format!("{next}\n").as_bytes(), Durability::Process)?;
    match std::fs::remove_file(directory.join(WITHDRAWN)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn withdrawn(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join(WITHDRAWN)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Different lines about one MAC or one address.
fn contradicts(old: &str, new: &str) -> bool {
    let words = |line: &str| -> Vec<String> {
        let fixed = |word: &&str| word.contains([':', '.']);
        line.split(',').filter(fixed).map(str::to_owned).collect()
    };
    old != new && words(old).iter().any(|word| words(new).contains(word))
}

const WITHDRAWN: &str = "withdrawn";
const GENERATION: &str = "generation";
/// Lines that dnsmasq may remember in vain.
const PATIENCE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_is_known() {
        let mac = "00:16:3e:00:00:01".parse().unwrap();
        let line = host_line(mac, "10.0.0.5".parse().ok(), "fd42::5".parse().ok(), Some("c1"));
        assert_eq!(line.unwrap(), "00:16:3e:00:00:01,10.0.0.5,[fd42::5],c1");
        assert_eq!(host_line(mac, None, None, Some("c1")).unwrap(), "00:16:3e:00:00:01,c1");
        assert_eq!(host_line(mac, None, None, None), None);
    }

    #[test]
    fn only_a_contradiction_calls_for_a_new_process() {
        let root = tempfile::tempdir().unwrap();
        let set = |key: &str, line: Option<&str>| set_host(root.path(), key, line).unwrap();
        let (one, moved) = ("00:16:3e:00:00:01,10.0.0.5,c1", "00:16:3e:00:00:02,10.0.0.5,c2");
        assert_eq!(set("c1", Some(one)), Memory::Fits);
        assert_eq!(set("c1", None), Memory::Fits);
        assert_eq!(set("c1", Some(one)), Memory::Fits, "stopped and started");
        assert_eq!(set("c1", None), Memory::Fits);
        assert_eq!(set("c3", Some("00:16:3e:00:00:03,c1")), Memory::Fits, "a name may move");
        assert_eq!(set("c2", Some(moved)), Memory::Stale);
        next_generation(root.path()).unwrap();
        assert_eq!(generation(root.path()), 1);
        assert_eq!(set("c2", Some("00:16:3e:00:00:02,10.0.0.6,c2")), Memory::Stale, "a new address for the same NIC");
    }
}
