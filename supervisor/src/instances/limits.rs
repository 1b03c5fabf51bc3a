//! `limits.*` as control groups understand them.

use hull_plugin::ConfigMap;

use super::validate::parse_size;
use crate::cgroups::CgroupLimits;

/// A weight of 100 % in v1's notation.
const FULL_SHARES: u64 = 1024;

pub(super) fn limits(config: &ConfigMap) -> CgroupLimits {
    let value = |key: &str| config.get(key).map(String::as_str).filter(|text| !text.is_empty());
    let allowance = value("limits.cpu.allowance").and_then(parse_allowance);
    let memory = value("limits.memory").and_then(memory_bytes);
    let soft = value("limits.memory.enforce") == Some("soft");
    CgroupLimits {
        memory: memory.filter(|_| !soft),
        memory_soft: memory.filter(|_| soft),
        processes: value("limits.processes").and_then(|text| text.parse().ok()),
        cpu_set: value("limits.cpu").and_then(parse_cpus).and_then(Cpus::on_this_host),
        cpu_quota: match allowance {
            Some(Allowance::Quota { time, period }) => Some((time, period)),
            _ => None,
        },
        cpu_shares: match allowance {
            Some(Allowance::Share(percent)) => Some(FULL_SHARES * u64::from(percent) / 100),
            _ => None,
        },
        ..CgroupLimits::default()
    }
}

fn memory_bytes(text: &str) -> Option<u64> {
    match text.strip_suffix('%') {
        // Far more than all there is limits nothing, and is no number that the kernel could not take.
        Some(percent) => Some((total_memory()? / 100).saturating_mul(percent.parse().ok()?).min(i64::MAX as u64)),
        None => parse_size(text),
    }
}

fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// `limits.cpu`: how many, or which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cpus {
    Count(u32),
    Set(String),
}

impl Cpus {
    /// As a cpuset list; counted ones are spread by a random start, so that instances do not all sit on CPU 0.
    fn on_this_host(self) -> Option<String> {
        let online = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
        match self {
            Self::Set(list) => Some(list),
            Self::Count(count) if count >= online => None,
            Self::Count(count) => {
                let first = rand::random_range(0..online);
                let mut chosen: Vec<u32> = (0..count).map(|n| (first + n) % online).collect();
                chosen.sort_unstable();
                Some(chosen.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

pub(super) fn parse_cpus(text: &str) -> Option<Cpus> {
    if text.contains('+') {
        return None; // a sign is a number's to Rust, not to the kernel
    }
    if let Ok(count) = text.parse::<u32>() {
        return (count > 0).then_some(Cpus::Count(count));
    }
    let valid = text.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => {
            matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(first), Ok(last)) if first <= last)
        }
        None => part.parse::<u32>().is_ok(),
    });
    valid.then(|| Cpus::Set(text.to_owned()))
}

/// `limits.cpu.allowance`: a weight under load, or a part of each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Of 100.
    Share(u32),
    /// Microseconds.
    Quota { time: u64, period: u64 },
}

pub(super) fn parse_allowance(text: &str) -> Option<Allowance> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse().ok().filter(|percent| *percent > 0).map(Allowance::Share);
    }
    let (time, period) = text.split_once('/')?;
    let microseconds = |text: &str| text.strip_suffix("ms")?.parse::<u64>().ok()?.checked_mul(1000);
    let (time, period) = (microseconds(time)?, microseconds(period)?);
    (time > 0 && period > 0).then_some(Allowance::Quota { time, period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_limits_are_counts_or_sets() {
        assert_eq!(parse_cpus("2"), Some(Cpus::Count(2)));
        assert_eq!(parse_cpus("0-3,7"), Some(Cpus::Set("0-3,7".into())));
        for bad in ["", "0", "xx", "3-1", "1,,2", "-1", "+1", "0-+3"] {
            assert_eq!(parse_cpus(bad), None, "{bad}");
        }
    }

    #[test]
    fn allowances_are_shares_or_quotas() {
        assert_eq!(parse_allowance("10%"), Some(Allowance::Share(10)));
        assert_eq!(parse_allowance("25ms/200ms"), Some(Allowance::Quota { time: 25_000, period: 200_000 }));
        for bad in ["", "10", "0%", "25ms", "25/200", "0ms/1ms"] {
            assert_eq!(parse_allowance(bad), None, "{bad}");
        }
    }

    #[test]
    fn more_than_all_memory_is_no_number_gone_round() {
        let half = memory_bytes("50%").unwrap();
        for much in ["1000%", "70000000000000000%", "18446744073709551615%"] {
            assert!(memory_bytes(much).unwrap() > half, "{much}");
        }
    }

    #[test]
    fn a_soft_memory_limit_is_not_a_hard_one() {
        let config = |enforce: &str| {
            ConfigMap::from([
                ("limits.memory".into(), "64MiB".into()),
                ("limits.memory.enforce".into(), enforce.into()),
            ])
        };
        assert_eq!((limits(&config("hard")).memory, limits(&config("hard")).memory_soft), (Some(64 << 20), None));
        assert_eq!((limits(&config("soft")).memory, limits(&config("soft")).memory_soft), (None, Some(64 << 20)));
    }
}
