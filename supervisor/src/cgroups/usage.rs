//! What a group has used so far, in the words of whichever version counts it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Cgroup;

/// What all processes of a group, and of the groups below it, have used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupUsage {
    /// By processor where the kernel tells them apart, else one called `total`.
    pub cpus: Vec<CpuUsage>,
    /// The kernel's figures by their names, in bytes: `active_anon`, `dirty`, …
    pub memory: BTreeMap<String, u64>,
    pub memory_used: u64,
    /// `None`: without a limit.
    pub memory_limit: Option<u64>,
    pub out_of_memory_kills: u64,
    pub processes: u64,
    /// By block device.
    pub disks: BTreeMap<String, DiskUsage>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuUsage {
    pub cpu: String,
    pub user_nanoseconds: u64,
    pub system_nanoseconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    pub read_bytes: u64,
    pub reads: u64,
    pub written_bytes: u64,
    pub writes: u64,
}

/// v1 has no word for "no limit": a number beyond any memory.
const NO_LIMIT: u64 = 1 << 60;

impl Cgroup {
    /// Reads it all now. Files of the kernel only: fast, but not for an event loop.
    pub fn usage(&self) -> CgroupUsage {
        let mut usage = CgroupUsage { cpus: self.cpus(), disks: self.disks(), ..CgroupUsage::default() };
        let text = |path: &Path, file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        let number = |path: &Path, file: &str| text(path, file).trim().parse::<u64>().ok();
        if let Some(path) = self.v1("memory") {
            usage.memory = legacy_memory(&text(&path, "memory.stat"));
            usage.memory_used = number(&path, "memory.usage_in_bytes").unwrap_or(0);
            usage.memory_limit = number(&path, "memory.limit_in_bytes").filter(|limit| *limit < NO_LIMIT);
            usage.out_of_memory_kills = keyed(&text(&path, "memory.oom_control")).remove("oom_kill").unwrap_or(0);
        } else if let Some(path) = self.v2("memory") {
            usage.memory = unified_memory(&text(&path, "memory.stat"), number(&path, "memory.swap.current"));
            usage.memory_used = number(&path, "memory.current").unwrap_or(0);
            usage.memory_limit = number(&path, "memory.max");
            usage.out_of_memory_kills = keyed(&text(&path, "memory.events")).remove("oom_kill").unwrap_or(0);
        }
        let pids = self.v1("pids").or_else(|| self.v2("pids"));
        usage.processes = pids.and_then(|path| number(&path, "pids.current")).unwrap_or(0);
        usage
    }

    fn cpus(&self) -> Vec<CpuUsage> {
        if let Some(path) = self.v1("cpuacct") {
            return per_processor(&fs::read_to_string(path.join("cpuacct.usage_all")).unwrap_or_default());
        }
        let Some(unified) = self.hierarchies().iter().find(|hierarchy| hierarchy.unified) else { return Vec::new() };
        let figures = keyed(&fs::read_to_string(self.directory(unified).join("cpu.stat")).unwrap_or_default());
        let (Some(user), Some(system)) = (figures.get("user_usec"), figures.get("system_usec")) else {
            return Vec::new();
        };
        let (user_nanoseconds, system_nanoseconds) = (user.saturating_mul(1000), system.saturating_mul(1000));
        vec![CpuUsage { cpu: "total".to_owned(), user_nanoseconds, system_nanoseconds }]
    }

    fn disks(&self) -> BTreeMap<String, DiskUsage> {
        let mut disks = BTreeMap::new();
        if let Some(path) = self.v1("blkio") {
            let text = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
            for (device, direction, count) in blkio(&text("blkio.throttle.io_service_bytes_recursive")) {
                let disk: &mut DiskUsage = disks.entry(device).or_default();
                *(if direction == "Read" { &mut disk.read_bytes } else { &mut disk.written_bytes }) = count;
            }
            for (device, direction, count) in blkio(&text("blkio.throttle.io_serviced_recursive")) {
                let disk: &mut DiskUsage = disks.entry(device).or_default();
                *(if direction == "Read" { &mut disk.reads } else { &mut disk.writes }) = count;
            }
        } else if let Some(path) = self.v2("io") {
            disks = io_stat(&fs::read_to_string(path.join("io.stat")).unwrap_or_default());
        }
        disks.into_iter().map(|(number, usage)| (device_name(&number), usage)).collect()
    }
}

/// `cpu user system`, a line a processor.
fn per_processor(text: &str) -> Vec<CpuUsage> {
    let usage = |line: &str| {
        let mut words = line.split_whitespace();
        let cpu = words.next()?.to_owned();
        Some(CpuUsage {
            cpu,
            user_nanoseconds: words.next()?.parse().ok()?,
            system_nanoseconds: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(usage).collect()
}

/// `key value`, a line each.
fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// What counts for groups below, too, is called `total_…`.
fn legacy_memory(text: &str) -> BTreeMap<String, u64> {
    let figures = keyed(text);
    let total = figures.iter().filter_map(|(key, value)| Some((key.strip_prefix("total_")?.to_owned(), *value)));
    total.collect()
}

/// Under the names of v1, where the two differ.
fn unified_memory(text: &str, swap: Option<u64>) -> BTreeMap<String, u64> {
    let mut figures = keyed(text);
    let names = [
        ("anon", "rss"),
        ("file", "cache"),
        ("file_mapped", "mapped_file"),
        ("file_dirty", "dirty"),
        ("file_writeback", "writeback"),
    ];
    for (unified, legacy) in names {
        if let Some(value) = figures.get(unified).copied() {
            figures.insert(legacy.to_owned(), value);
        }
    }
    figures.insert("swap".to_owned(), swap.unwrap_or(0));
    figures
}

/// `8:0 Read 4096`
fn blkio(text: &str) -> Vec<(String, &str, u64)> {
    let entry = |line| {
        let mut words = str::split_whitespace(line);
        let (device, direction, count) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        matches!(direction, "Read" | "Write").then(|| (device.to_owned(), direction, count))
    };
    text.lines().filter_map(entry).collect()
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`
fn io_stat(text: &str) -> BTreeMap<String, DiskUsage> {
    let disk = |line: &str| {
        let (device, figures) = line.split_once(' ')?;
        let mut usage = DiskUsage::default();
        for (key, value) in figures.split(' ').filter_map(|word| word.split_once('=')) {
            let count = value.parse().unwrap_or(0);
            match key {
                "rbytes" => usage.read_bytes = count,
                "wbytes" => usage.written_bytes = count,
                "rios" => usage.reads = count,
                "wios" => usage.writes = count,
                _ => {}
            }
        }
        Some((device.to_owned(), usage))
    };
    text.lines().filter_map(disk).collect()
}

/// `sda` for `8:0`, or the numbers of a device that is gone.
fn device_name(number: &str) -> String {
    let link = fs::read_link(format!("/sys/dev/block/{number}"));
    let name = link.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_in_the_end() {
        let old = legacy_memory("cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_dirty 3\n");
        assert_eq!((old["cache"], old["rss"], old["dirty"]), (10, 20, 3));
        let new = unified_memory("anon 20\nfile 10\nfile_dirty 3\nactive_anon 5\n", Some(7));
        assert_eq!((new["cache"], new["rss"], new["dirty"], new["active_anon"], new["swap"]), (10, 20, 3, 5, 7));

        assert_eq!(blkio("8:0 Read 1\n8:0 Write 2\n8:0 Sync 9\nTotal 3\n").len(), 2);
        let disks = io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\n");
        assert_eq!(disks["8:0"], DiskUsage { read_bytes: 1, written_bytes: 2, reads: 3, writes: 4 });
        let cpus = per_processor("cpu user system\n0 10 20\n1 30 40\n");
        assert_eq!((cpus.len(), cpus[1].system_nanoseconds), (2, 40));
    }
}
