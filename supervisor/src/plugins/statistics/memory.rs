//! How much memory a process costs, on demand.

use std::time::Duration;

/// A process that faults a page in holds its address space: asking about it may wait that long, and no longer.
const PATIENCE: Duration = Duration::from_millis(200);

/// The bytes a process costs: pages it shares count by its share. Falls back on what is its own when the kernel does not say
/// in time; 0 for a process that is gone.
pub(crate) async fn proportional_memory(pid: i32) -> u64 {
    let shares = tokio::task::spawn_blocking(move || proportional(pid));
    match tokio::time::timeout(PATIENCE, shares).await {
        Ok(Ok(Some(bytes))) => bytes,
        _ => own(pid).unwrap_or(0),
    }
}

fn proportional(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Resident less shared: counters that take no lock in the kernel.
fn own(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (pages.next()?, pages.next()?);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(resident.saturating_sub(shared) * u64::try_from(page).unwrap_or(4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_process_costs_something_and_one_that_is_gone_nothing() {
        let own_pid = i32::try_from(std::process::id()).unwrap();
        assert!(proportional_memory(own_pid).await > 100_000);
        assert!(own(own_pid).unwrap() > 100_000);
        assert_eq!(proportional_memory(i32::MAX - 1).await, 0);
    }
}
