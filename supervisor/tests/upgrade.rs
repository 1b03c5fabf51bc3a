//! Versions of a real plugin in its real sandbox replace each other: good ones without a gap, bad ones not at all.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Host, OneObject, order};
use hull_plugin::{Code, DriverError};
use hulld::plugins::{Grant, NoHandles, PluginState, Restart, StorageHandle};

const PROBE: &str = "storage-probe";

/// How the next process of the probe misbehaves.
fn flaw(host: &Host, flaw: &str) {
    std::fs::write(state(host).join("flaw"), flaw).unwrap();
}

fn state(host: &Host) -> PathBuf {
    host.directory.path().join("plugins/storage-probe/state@default")
}

async fn upgrade(host: &Host, source: &std::path::Path) -> Result<String, DriverError> {
    host.plugins.upgrade(PROBE, Some(source), Grant::Nothing).await
}

fn same(manifest: String) -> String {
    manifest
}

fn running_pids(host: &Host) -> Vec<i32> {
    let processes = host.plugins.list().remove(0).processes;
    let pid = |state: &PluginState| if let PluginState::Ready { pid } = state { Some(*pid) } else { None };
    processes.iter().filter_map(|(_, state)| pid(state)).collect()
}

/// Calls the probe again and again; every call must succeed. Ends with the number of calls and the longest.
struct Callers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<(u64, Duration)>>,
}

impl Callers {
    fn start(pool: &StorageHandle) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (pool, stop) = (pool.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut calls, mut longest) = (0, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    order(&pool, "birth").await.unwrap();
                    longest = longest.max(begin.elapsed());
                    calls += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await; // the machine has others
                }
                (calls, longest)
            })
        };
        Self { tasks: (0..4).map(caller).collect(), stop }
    }

    async fn end(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = (0, Duration::ZERO);
        for task in self.tasks {
            let (calls, longest) = task.await.unwrap();
            sum = (sum.0 + calls, sum.1.max(longest));
        }
        sum
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_version_takes_over_and_calls_in_flight_are_finished_by_the_old_one() {
    let host = Host::with(Arc::new(OneObject)).await;
    let pool = host.pool();
    let before = order(&pool, "birth").await.unwrap();
    let old = running_pids(&host)[0];
    let (callers, slow) = (Callers::start(&pool), pool.clone());
    let lingering = tokio::spawn(async move { order(&slow, "linger").await });
    tokio::time::sleep(Duration::from_millis(100)).await; // it is under way

    assert_eq!(upgrade(&host, &host.version("0.2.0", same)).await.unwrap(), "0.2.0");
    let after = order(&pool, "birth").await.unwrap();
    assert_ne!(before, after);
    assert_eq!(host.plugins.list()[0].manifest.version, "0.2.0");
    assert!(!lingering.is_finished());
    assert_eq!(lingering.await.unwrap(), Ok(before), "the old process finished it");

    let (calls, longest) = callers.end().await;
    eprintln!("{calls} calls, longest {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let ended = async {
        while hull_sys::process::start_time(old).is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the old process ends after its last call");
    assert_eq!(order(&pool, "birth").await.unwrap(), after);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_versions_are_refused_and_the_old_one_serves_on() {
    let host = Host::with(Arc::new(OneObject)).await;
    let pool = host.pool();
    let before = order(&pool, "birth").await.unwrap();
    let callers = Callers::start(&pool);
    let versions = host.directory.path().join("plugins-installed/storage-probe");
    for (number, (name, says)) in [
        ("crash", "ended while it was started"),
        ("mute", "no greeting within a second"),
        ("identity", "it says it is the Storage driver `other`"),
        ("recover", "did not take stock of its objects"),
        ("health", "a test says so"),
        ("charge", "did not take charge: a test says so"),
        ("die-in-charge", "ended while it was started"),
    ]
    .into_iter()
    .enumerate()
    {
        let source = host.version(&format!("0.{number}.9"), same);
        flaw(&host, name);
        let error = upgrade(&host, &source).await.unwrap_err();
        assert_eq!(error.code, Code::Unavailable, "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&format!("a probe starts {name}")), "{name}: {text}");
        assert_eq!(order(&pool, "birth").await.unwrap(), before, "{name}");
        assert_eq!(host.plugins.list()[0].manifest.version, "0.1.0", "{name}");
        assert_eq!(std::fs::read_dir(&versions).unwrap().count(), 0, "{name} left its files");
        eprintln!("{name}: {text}");
    }
    // What can be seen before anything is started.
    for (version, from, to, says) in [
        ("1.0.0", "newest = 1", "newest = 99", ""),
        ("1.0.1", "oldest = 1, newest = 1", "oldest = 90, newest = 99", "speaks contract versions 90 to 99"),
        ("1.0.2", "kind = \"storage\"", "kind = \"network\"", "has the name `storage-probe`"),
        ("1.0.3", "\"CHOWN\"", "\"CHOWN\", \"SYS_ADMIN\"", "capability SYS_ADMIN"),
        ("1.0.4", "memory = 67108864", "memory = 167108864", "MiB of memory"),
    ] {
        let source = host.version(version, |manifest| {
            assert!(manifest.contains(from), "{from}");
            manifest.replace(from, to)
        });
        match upgrade(&host, &source).await {
            Ok(_) => assert!(says.is_empty(), "{version} was not refused"),
            Err(error) => assert!(!says.is_empty() && error.to_string().contains(says), "{version}: {error}"),
        }
    }
    let greedy = host.directory.path().join("version-1.0.4");
    assert_eq!(host.plugins.upgrade(PROBE, Some(&greedy), Grant::WhatItAsksFor).await.unwrap(), "1.0.4");
    let (calls, longest) = callers.end().await;
    eprintln!("{calls} calls, longest {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_goes_back_and_hulld_remembers_what_was_chosen() {
    let mut host = Host::new().await;
    let pool = host.pool();
    order(&pool, "birth").await.unwrap();
    assert_eq!(host.plugins.rollback(PROBE).await.unwrap_err().code, Code::NotFound);
    upgrade(&host, &host.version("0.2.0", same)).await.unwrap();
    upgrade(&host, &host.version("0.3.0", same)).await.unwrap();
    assert_eq!(host.plugins.rollback(PROBE).await.unwrap(), "0.2.0");
    assert_eq!(host.plugins.rollback(PROBE).await.unwrap(), "0.3.0", "forth again");

    host.restart().await;
    let pool = host.pool();
    assert_eq!(host.plugins.list()[0].manifest.version, "0.3.0");
    order(&pool, "birth").await.unwrap();

    // Somebody has broken the chosen version meanwhile: the one before it serves.
    let number =
        std::fs::read_to_string(host.directory.path().join("plugins-installed/storage-probe/choice.json")).unwrap();
    let number: serde_json::Value = serde_json::from_str(&number).unwrap();
    let chosen =
        host.directory.path().join(format!("plugins-installed/storage-probe/{}/storage-probe", number["current"]));
    std::fs::remove_file(&chosen).unwrap();
    std::fs::write(&chosen, "#!/nonexistent\n").unwrap();
    host.restart().await;
    let pool = host.pool();
    order(&pool, "birth").await.unwrap();
    std::fs::remove_file(&chosen).unwrap();
    host.restart().await;
    let pool = host.pool();
    assert_eq!(host.plugins.list()[0].manifest.version, "0.2.0");
    order(&pool, "birth").await.unwrap();
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_processes_of_a_plugin_are_replaced_or_none() {
    let host = Host::with(Arc::new(OneObject)).await;
    let pools = [host.pool(), host.pool_named("second")];
    for pool in &pools {
        order(pool, "birth").await.unwrap();
    }
    let callers = [Callers::start(&pools[0]), Callers::start(&pools[1])];
    std::fs::write(host.directory.path().join("plugins/storage-probe/state@second/flaw"), "health").unwrap();
    let error = upgrade(&host, &host.version("0.2.0", same)).await.unwrap_err();
    assert!(error.to_string().contains("storage-probe@second"), "{error}");
    assert_eq!(host.plugins.list()[0].manifest.version, "0.1.0");
    let programs = |version: &str| {
        let running = running_pids(&host);
        assert_eq!(running.len(), 2);
        let program = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        let maps = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        running.iter().all(|pid| program(pid).ends_with("plugin") && maps(pid).contains(version))
    };
    assert!(!programs("plugins-installed"), "the first one went back");

    upgrade(&host, &host.version("0.3.0", same)).await.unwrap();
    assert!(programs("plugins-installed"));
    for callers in callers {
        callers.end().await;
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_process_is_asked_again_and_a_dead_one_ends_the_upgrade() {
    let host = Host::with(Arc::new(OneObject)).await;
    let pool = host.pool();
    let before = order(&pool, "birth").await.unwrap();
    let callers = Callers::start(&pool);
    std::fs::write(state(&host).join("busy"), "").unwrap();
    let work = upgrade_later(&host, "0.2.0");
    tokio::time::sleep(Duration::from_millis(1500)).await; // it has been asked a few times by now
    assert!(!work.is_finished());
    assert_eq!(order(&pool, "birth").await.unwrap(), before);
    let second = host.plugins.restart(PROBE, Restart::Gently).await.unwrap_err();
    assert_eq!(second.code, Code::Busy, "{second}");
    std::fs::remove_file(state(&host).join("busy")).unwrap();
    assert_eq!(work.await.unwrap().unwrap(), "0.2.0");
    let middle = order(&pool, "birth").await.unwrap();
    assert_ne!(middle, before);

    flaw(&host, "recover");
    let work = upgrade_later(&host, "0.3.0");
    tokio::time::sleep(Duration::from_millis(500)).await; // it hangs by now
    let kill =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(running_pids(&host)[0]), nix::sys::signal::Signal::SIGKILL);
    kill.unwrap();
    let error = work.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("ended meanwhile"), "{error}");
    assert_ne!(order(&pool, "birth").await.unwrap(), middle, "it was started again, as after any crash");
    assert_eq!(host.plugins.list()[0].manifest.version, "0.2.0");
    callers.end().await; // none of them saw anything of it

    let before = order(&pool, "birth").await.unwrap();
    host.plugins.restart(PROBE, Restart::Gently).await.unwrap();
    assert_ne!(order(&pool, "birth").await.unwrap(), before);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_its_way_while_its_process_hands_over_is_made_by_the_successor() {
    let host = Host::with(Arc::new(OneObject)).await;
    let pool = host.pool();
    let before = order(&pool, "birth").await.unwrap();
    let change = tokio::spawn({
        let pool = pool.clone();
        async move { order(&pool, "change-late").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await; // it has been sent by now
    upgrade(&host, &host.version("0.2.0", same)).await.unwrap();
    assert!(!change.is_finished());
    let after = order(&pool, "birth").await.unwrap();
    assert_ne!(after, before);
    assert_eq!(change.await.unwrap().unwrap(), after);

    // A process that says so while it serves is believed for a while only.
    let error = order(&pool, "never-in-charge").await.unwrap_err();
    assert!(error.contains("a test says so"), "{error}");
    host.close().await;
}

fn upgrade_later(host: &Host, version: &str) -> tokio::task::JoinHandle<Result<String, DriverError>> {
    let (plugins, source) = (host.plugins.clone(), host.version(version, same));
    tokio::spawn(async move { plugins.upgrade(PROBE, Some(&source), Grant::Nothing).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_while_one_that_rests_is_replaced_waits_for_what_comes_of_it() {
    let host = Host::resting(Arc::new(NoHandles), Duration::from_millis(300)).await;
    let pool = host.pool();
    let rests = async || {
        while !running_pids(&host).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    order(&pool, "birth").await.unwrap();
    rests().await;
    flaw(&host, "mute");
    let work = upgrade_later(&host, "0.2.0");
    tokio::time::sleep(Duration::from_millis(200)).await; // its greeting is waited for
    order(&pool, "birth").await.unwrap();
    assert!(work.await.unwrap().is_err());
    assert_eq!(running_pids(&host).len(), 1);
    assert_eq!(host.plugins.list()[0].manifest.version, "0.1.0");

    rests().await;
    let work = upgrade_later(&host, "0.3.0");
    let callers = Callers::start(&pool);
    assert_eq!(work.await.unwrap().unwrap(), "0.3.0");
    callers.end().await; // each was answered
    assert_eq!(running_pids(&host).len(), 1);
    host.close().await;
}
