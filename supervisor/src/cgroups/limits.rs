//! Bounds on a group, written in the words of whichever version has the controller.

use std::fs;
use std::path::PathBuf;

use super::Cgroup;
use super::hierarchy::CgroupError;

/// What a group may use; `None` lifts a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory above which it is reclaimed first.
    pub memory_soft: Option<u64>,
    /// Bytes of swap on top of the memory; `Some(0)` forbids swapping.
    pub swap: Option<u64>,
    /// Tasks.
    pub processes: Option<u64>,
    /// Microseconds of processor time per period of so many microseconds.
    pub cpu_quota: Option<(u64, u64)>,
    /// Share of the processors under contention; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// Processors, as `0-3,7`.
    pub cpu_set: Option<String>,
}

/// cgroup v1's "no limit".
const UNLIMITED: &str = "-1";
const MAX: &str = "max";

impl Cgroup {
    /// Sets all limits; repeating is harmless. A bound whose controller the machine lacks is an error, lifting one is not.
    pub fn set_limits(&self, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.limit_memory(limits)?;
        let text = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), |value| value.to_string());
        let tasks = text(limits.processes, MAX);
        self.bound("pids", ("pids.max", &tasks), ("pids.max", &tasks), limits.processes.is_some())?;

        let (quota, period) = limits.cpu_quota.unzip();
        let period = period.unwrap_or(100_000);
        if let Some(path) = self.v1("cpu") {
            write(path.join("cpu.cfs_period_us"), &period.to_string(), quota.is_some())?;
        }
        let v2 = format!("{} {period}", text(quota, MAX));
        self.bound("cpu", ("cpu.cfs_quota_us", &text(quota, UNLIMITED)), ("cpu.max", &v2), quota.is_some())?;

        let shares = limits.cpu_shares.unwrap_or(1024).clamp(2, 262_144);
        let weight = 1 + (shares - 2) * 9999 / 262_142; // the kernel's documented conversion
        let weight = if limits.cpu_shares.is_none() { 100 } else { weight };
        let (shares, weight) = (shares.to_string(), weight.to_string());
        self.bound("cpu", ("cpu.shares", &shares), ("cpu.weight", &weight), limits.cpu_shares.is_some())?;

        if let Some(set) = &limits.cpu_set {
            self.bound("cpuset", ("cpuset.cpus", set), ("cpuset.cpus", set), true)?;
        }
        Ok(())
    }

    fn limit_memory(&self, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let asked = limits.memory.is_some();
        if let Some(path) = self.v1("memory") {
            let memory = limits.memory.map_or_else(|| UNLIMITED.to_owned(), |bytes| bytes.to_string());
            let both = limits.swap.and_then(|swap| Some(limits.memory?.saturating_add(swap).to_string()));
            let both = both.unwrap_or_else(|| UNLIMITED.to_owned());
            // Memory may never exceed memory plus swap: widen the latter first; the last write puts it right.
            write(path.join("memory.memsw.limit_in_bytes"), UNLIMITED, false)?;
            write(path.join("memory.limit_in_bytes"), &memory, asked)?;
            write(path.join("memory.memsw.limit_in_bytes"), &both, false)?;
            let soft = limits.memory_soft.map_or_else(|| UNLIMITED.to_owned(), |bytes| bytes.to_string());
            return write(path.join("memory.soft_limit_in_bytes"), &soft, limits.memory_soft.is_some());
        }
        let text = |value: Option<u64>| value.map_or_else(|| MAX.to_owned(), |value| value.to_string());
        match self.v2("memory") {
            Some(path) => {
                write(path.join("memory.max"), &text(limits.memory), asked)?;
                write(path.join("memory.high"), &text(limits.memory_soft), limits.memory_soft.is_some())?;
                write(path.join("memory.swap.max"), &text(limits.swap), false)
            }
            None if asked => Err(self.missing("memory")),
            None => Ok(()),
        }
    }

    /// Sets one file, given with its value for either version.
    fn bound(&self, controller: &str, v1: (&str, &str), v2: (&str, &str), asked: bool) -> Result<(), CgroupError> {
        if let Some(path) = self.v1(controller) {
            return write(path.join(v1.0), v1.1, asked);
        }
        match self.v2(controller) {
            Some(path) => write(path.join(v2.0), v2.1, asked),
            None if asked => Err(self.missing(controller)),
            None => Ok(()),
        }
    }

    fn missing(&self, controller: &str) -> CgroupError {
        let source = std::io::Error::new(std::io::ErrorKind::Unsupported, "the kernel has no such controller");
        CgroupError::Set { path: self.relative().to_owned(), value: controller.to_owned(), source }
    }
}

/// Failing to lift a bound that was never set (a kernel without swap accounting) is no failure.
pub(super) fn write(path: PathBuf, value: &str, required: bool) -> Result<(), CgroupError> {
    match fs::write(&path, value) {
        Err(source) if required => Err(CgroupError::Set { path, value: value.to_owned(), source }),
        _ => Ok(()),
    }
}
