//! What a running container uses.

use std::fs;
use std::os::fd::AsFd;

use hull_plugin::instance::InstanceState;
use hull_plugin::{DriverError, InstanceId};

use crate::cgroup::{self, keyed, legacy, number, unified};
use crate::driver::Container;
use crate::network;

impl Container {
    pub(crate) fn state(&self, id: &InstanceId) -> Result<InstanceState, DriverError> {
        let running = self.table().running(id)?;
        let group = running.record.cgroup.as_str();
        let network = network::interfaces_of(running.process.as_fd())
            .map_err(|error| DriverError::system(&error.into(), format!("cannot ask for the interfaces of `{id}`")))?;
        let memory = Memory::read(group);
        Ok(InstanceState {
            pid: running.record.pid,
            processes: processes(group),
            cpu_nanoseconds: cpu(group),
            memory_bytes: memory.used,
            memory_peak_bytes: memory.peak,
            swap_bytes: memory.swap,
            swap_peak_bytes: memory.swap_peak,
            frozen: cgroup::is_frozen(group) == Some(true),
            network,
        })
    }
}

fn processes(group: &str) -> i64 {
    let counted = number(&legacy("pids", group, "pids.current")).or_else(|| number(&unified(group, "pids.current")));
    let counted = counted.or_else(|| {
        let listed = fs::read_to_string(legacy("memory", group, "cgroup.procs"))
            .or_else(|_| fs::read_to_string(unified(group, "cgroup.procs")));
        u64::try_from(listed.ok()?.lines().count()).ok()
    });
    counted.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1) // as LXD says "unknown"
}

fn cpu(group: &str) -> i64 {
    let accounted = ["cpuacct", "cpu,cpuacct"].iter().find_map(|name| number(&legacy(name, group, "cpuacct.usage")));
    let nanoseconds = accounted.or_else(|| {
        let statistics = fs::read_to_string(unified(group, "cpu.stat")).ok()?;
        keyed(&statistics, "usage_usec").map(|micros| micros.saturating_mul(1000))
    });
    nanoseconds.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1)
}

#[derive(Default)]
struct Memory {
    used: u64,
    peak: u64,
    swap: u64,
    swap_peak: u64,
}

impl Memory {
    fn read(group: &str) -> Self {
        let old = |file| number(&legacy("memory", group, file));
        let Some(used) = old("memory.usage_in_bytes") else { return Self::read_unified(group) };
        let peak = old("memory.max_usage_in_bytes").unwrap_or(0);
        // v1 counts memory and swap together.
        let both = old("memory.memsw.usage_in_bytes").unwrap_or(used);
        let both_peak = old("memory.memsw.max_usage_in_bytes").unwrap_or(peak);
        Self { used, peak, swap: both.saturating_sub(used), swap_peak: both_peak.saturating_sub(peak) }
    }

    fn read_unified(group: &str) -> Self {
        let new = |file| number(&unified(group, file)).unwrap_or(0);
        Self {
            used: new("memory.current"),
            peak: new("memory.peak"),
            swap: new("memory.swap.current"),
            swap_peak: new("memory.swap.peak"),
        }
    }
}
