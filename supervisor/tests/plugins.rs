//! A real plugin in its real sandbox: what it may do, and what hulld does when it misbehaves.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Host, OneObject, order};
use hull_plugin::{Code, OperationId};
use hulld::plugins::{Grant, HandleSource, NoHandles, Notice, PluginState};

#[tokio::test]
async fn a_plugin_starts_on_first_need_and_is_back_after_sigkill() {
    let host = Host::new().await;
    let pool = host.pool();
    assert_eq!(host.plugins.list()[0].processes[0].1, PluginState::Stopped);

    let begin = Instant::now();
    assert_eq!(order(&pool, "pid").await, Ok(1)); // alone in its pid namespace
    eprintln!("first call after {:?}", begin.elapsed());

    for _ in 0..3 {
        let before = running_pid(&host);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(before), nix::sys::signal::Signal::SIGKILL).unwrap();
        let begin = Instant::now();
        assert_eq!(order(&pool, "pid").await, Ok(1));
        eprintln!("answer {:?} after SIGKILL", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert_ne!(running_pid(&host), before);
    }
    host.close().await;
}

#[tokio::test]
async fn a_plugin_that_dies_of_every_call_is_given_up_with_its_signal_in_the_error() {
    let host = Host::new().await;
    let pool = host.pool();
    let error = pool.volume_usage(&"order/die".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code, Code::Crashed, "{error}");
    // The first process of a pid namespace cannot die of its own SIGABRT: abort() goes on to a forbidden instruction.
    assert!(error.to_string().contains("SIGSEGV") || error.to_string().contains("SIGABRT"), "{error}");
    assert!(error.to_string().contains("storage-probe"), "{error}");

    let lines = &host.plugins.observed()[0].last_lines;
    assert!(lines.iter().any(|line| line.contains("a probe starts")), "what it said last is kept: {lines:?}");

    // The breaker opens; calls fail at once instead of hanging, until the administrator resets it.
    let error = pool.volume_usage(&"order/die".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    let begin = Instant::now();
    assert!(order(&pool, "pid").await.is_err());
    assert!(begin.elapsed() < Duration::from_millis(100));
    host.plugins.restart("storage-probe", hulld::plugins::Restart::Gently).await.unwrap();
    assert_eq!(order(&pool, "pid").await, Ok(1));
    host.close().await;
}

#[tokio::test]
async fn a_hung_plugin_is_killed_and_the_next_call_works() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "pid").await.unwrap();
    let begin = Instant::now();
    let error = pool.volume_usage(&"order/hang".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded, "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(order(&pool, "pid").await, Ok(1));
    host.close().await;
}

#[tokio::test]
async fn the_sandbox_grants_what_the_manifest_says_and_nothing_else() {
    let host = Host::new().await;
    let pool = host.pool();
    let refused = |text: &str| Err::<u64, _>(text.to_owned());
    for (attempt, result) in [
        ("hostname", refused("ok")),
        ("write-state", refused("ok")),
        ("write-pool", refused("ok")),
        ("shadow", refused("NotFound")),
        ("proc", refused("NotFound")),
        ("write-root", refused("ReadOnlyFilesystem")),
        ("write-usr", refused("ReadOnlyFilesystem")),
        ("network", refused("PermissionDenied")),
        ("execute", refused("PermissionDenied")),
        ("chroot", refused("PermissionDenied")),
        ("unshare", refused("PermissionDenied")),
        ("user", Ok(0)),
        ("interfaces", Ok(0)), // not even asked for
    ] {
        assert_eq!(order(&pool, attempt).await, result, "{attempt}");
    }
    // Three channels, and what the event loop and the question itself need.
    assert!(order(&pool, "descriptors").await.unwrap() <= 9);

    let pid = running_pid(&host);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("CapBnd:"), "0000000000000001");
    let user: u32 = field("Uid:").split_whitespace().next().unwrap().parse().unwrap();
    assert!(user >= 0x7000_0000, "{user}");
    host.close().await;
}

#[tokio::test]
async fn a_volume_can_be_nowhere_but_in_its_pool() {
    let host = Host::new().await;
    let pool = host.pool();
    let op = OperationId::random();
    let mount = pool.mounted(&op, &"container/c1".parse().unwrap()).await.unwrap();
    assert_eq!(hull_sys::descriptor::kind(&mount).unwrap(), hull_sys::descriptor::Kind::Directory);
    assert!(pool.mounted(&op, &"container/climb".parse().unwrap()).await.is_err());
    assert!(pool.mounted(&op, &"container/link".parse().unwrap()).await.is_err());
    host.close().await;
}

#[tokio::test]
async fn smuggled_descriptors_are_closed_and_wrong_ones_refused() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "pid").await.unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for _ in 0..3 {
        let _either_way = order(&pool, "smuggle").await;
        host.plugins.restart("storage-probe", hulld::plugins::Restart::ByForce).await.unwrap();
        assert_eq!(order(&pool, "pid").await, Ok(1));
    }
    let op = OperationId::random();
    let refused = pool.mounted(&op, &"container/pipe".parse().unwrap()).await.unwrap_err().to_string();
    host.plugins.restart("storage-probe", hulld::plugins::Restart::ByForce).await.unwrap();
    assert_eq!(order(&pool, "pid").await, Ok(1), "after {refused}");
    // Those of a process that has just ended are closed a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while open() > before && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(open() <= before, "{} descriptors, {before} before", open());
    host.close().await;
}

#[tokio::test]
async fn what_a_plugin_stores_survives_it_and_its_services_live_on() {
    let host = Host::new().await;
    let pool = host.pool();
    assert_eq!(order(&pool, "store").await, Ok(1));
    assert_eq!(order(&pool, "service").await, Ok(1));
    let service = order(&pool, "service-pid").await.unwrap();
    assert!(service > 1);

    let kill = |pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    kill(running_pid(&host)).unwrap();
    assert_eq!(order(&pool, "fetch").await, Ok(1));
    assert_eq!(order(&pool, "service").await, Ok(1)); // ensured: the same one
    assert_eq!(order(&pool, "service-pid").await, Ok(service));
    assert_eq!(host.keeper.list("plugin/storage-probe@default/").await.unwrap().len(), 1);

    assert_eq!(order(&pool, "stop-service").await, Ok(1));
    assert_eq!(order(&pool, "service-pid").await, Ok(0));
    host.close().await;
}

#[tokio::test]
async fn what_a_driver_cannot_take_is_refused_at_once_and_questions_are_answered_meanwhile() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "pid").await.unwrap();
    std::fs::write(host.directory.path().join("pool/slow"), "200").unwrap();
    let room = host.plugins.room(hull_plugin::PluginKind::Storage, "probe", Some(&"default".parse().unwrap()));
    assert_eq!((room.running, room.waiting), (4, 32));

    let create = |number: usize| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let volume = hull_plugin::storage::NewVolume {
                name: format!("container/c{number}").parse().unwrap(),
                content: hull_plugin::storage::ContentKind::FileSystem,
                config: Default::default(),
                source: hull_plugin::storage::VolumeSource::Empty,
            };
            pool.create_volume(&OperationId::random(), &volume).await.map(drop)
        })
    };
    let begin = Instant::now();
    let all: Vec<_> = (0..100).map(create).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    pool.pool_usage().await.unwrap(); // does not wait behind them
    let statistics = &host.plugins.statistics().await["storage-probe@default"];
    assert_eq!((statistics.in_flight, statistics.queued), (36, 32), "{statistics:?}");
    assert_eq!(statistics.errors["overloaded"], 64);
    assert!(begin.elapsed() < Duration::from_millis(1800), "the questions waited for the changes");

    let mut refused = 0;
    for one in all {
        if let Err(error) = one.await.unwrap() {
            assert_eq!(error.code, Code::Overloaded, "{error}");
            assert!(error.to_string().contains("`create_volume` of plugin `storage-probe@default`"), "{error}");
            refused += 1;
        }
    }
    assert_eq!(refused, 64);
    let statistics = &host.plugins.statistics().await["storage-probe@default"];
    assert_eq!((statistics.in_flight, statistics.queued), (0, 0));
    assert!(statistics.p99_microseconds > 200_000 && statistics.memory_bytes > 100_000, "{statistics:?}");
    host.close().await;
}

/// Keeps what it is told of processes.
#[derive(Default)]
struct Listener(std::sync::Mutex<Vec<(String, Notice)>>);

impl HandleSource for Listener {
    fn handles(&self, _: &str, _: Option<&hull_plugin::PoolName>) -> Vec<hull_plugin::StoredHandle> {
        Vec::new()
    }
    fn recovered(&self, _: &str, _: Option<&hull_plugin::PoolName>, _: Vec<(String, hull_plugin::Recovered)>) {}
    fn pool_config(&self, _: &hull_plugin::PoolName) -> Option<hull_plugin::ConfigMap> {
        Some(hull_plugin::ConfigMap::new())
    }
    fn noticed(&self, plugin: &str, pool: Option<&hull_plugin::PoolName>, notice: Notice) {
        let process = pool.map_or_else(|| plugin.to_owned(), |pool| format!("{plugin}@{pool}"));
        self.0.lock().unwrap().push((process, notice));
    }
}

#[tokio::test]
async fn bad_times_are_noticed_and_that_they_are_over() {
    let listener = Arc::new(Listener::default());
    let host = Host::with(listener.clone()).await;
    let pool = host.pool();
    let taken = || std::mem::take(&mut *listener.0.lock().unwrap());
    order(&pool, "pid").await.unwrap();
    assert_eq!(taken(), [("storage-probe@default".to_owned(), Notice::PoolOpened)]);
    for _ in 0..2 {
        order(&pool, "die").await.unwrap_err();
    }
    let notices: Vec<Notice> = taken().into_iter().map(|(_, notice)| notice).collect();
    assert!(notices.iter().any(|one| matches!(one, Notice::KeepsEnding { how } if how.contains("SIG"))), "{notices:?}");
    assert!(notices.iter().any(|one| matches!(one, Notice::OutOfService { .. })), "{notices:?}");
    assert!(!notices.contains(&Notice::Works));

    host.plugins.restart("storage-probe", hulld::plugins::Restart::ByForce).await.unwrap();
    order(&pool, "pid").await.unwrap();
    assert!(taken().iter().any(|(_, notice)| *notice == Notice::Works));
    order(&pool, "pid").await.unwrap();
    assert!(taken().is_empty(), "it is news only once");
    host.close().await;
}

#[tokio::test]
async fn a_process_that_hangs_is_found_out() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "pid").await.unwrap();
    let well = host.plugins.examined().await;
    assert_eq!(well[0].complaint, None);
    let pid = nix::unistd::Pid::from_raw(running_pid(&host));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let begin = Instant::now();
    let hung = host.plugins.examined().await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(hung[0].complaint.as_ref().is_some_and(|why| why.contains("no sign of life")), "{hung:?}");
    assert!(hung[0].kernel_stack.iter().any(|call| call.contains("signal")), "where it hangs: {hung:?}");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    order(&pool, "pid").await.unwrap();
    host.close().await;
}

#[tokio::test]
async fn what_becomes_of_a_process_is_put_down() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "die").await.unwrap_err();
    let statistics = &host.plugins.statistics().await["storage-probe@default"];
    assert_eq!(statistics.crashes, 3, "{statistics:?}");
    let observed = host.plugins.observed();
    assert_eq!(observed[0].ends.len(), 3);
    assert!(observed[0].ends[0].1.contains("SIG"), "{:?}", observed[0].ends);
    order(&pool, "pid").await.unwrap();
    host.plugins.restart("storage-probe", hulld::plugins::Restart::ByForce).await.unwrap();
    order(&pool, "pid").await.unwrap();
    let statistics = &host.plugins.statistics().await["storage-probe@default"];
    assert_eq!((statistics.crashes, statistics.errors["crashed"]), (3, 1), "a restart on request is no crash");
    host.close().await;
}

/// Waits until the probe does not run.
async fn rested(host: &Host) -> bool {
    let resting = async {
        while !matches!(host.plugins.list()[0].processes[0].1, PluginState::Stopped) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), resting).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_nobody_needs_ends_and_the_next_call_starts_another() {
    let host = Host::resting(Arc::new(NoHandles), Duration::from_millis(100)).await;
    let pool = host.pool();
    let first = order(&pool, "birth").await.unwrap();
    let pid = running_pid(&host);
    assert!(rested(&host).await);
    let second = order(&pool, "birth").await.unwrap();
    assert_ne!(first, second);
    assert!(hull_sys::process::start_time(pid).is_none(), "the first process lives");
    let statistics = &host.plugins.statistics().await["storage-probe@default"];
    assert_eq!((statistics.restarts, statistics.crashes), (0, 0), "a rest is no trouble");

    // A call that comes at the very moment is answered all the same, and one that takes long is not cut.
    for pause in (0..40).map(|step| Duration::from_micros(98_000 + step * 200)) {
        tokio::time::sleep(pause).await;
        order(&pool, "birth").await.unwrap();
    }
    order(&pool, "linger").await.unwrap();
    host.close().await;
}

#[tokio::test]
async fn a_process_with_objects_or_work_of_its_own_stays() {
    let host = Host::resting(Arc::new(OneObject), Duration::from_millis(50)).await;
    order(&host.pool(), "birth").await.unwrap();
    assert!(!rested(&host).await, "it looks after an object");
    host.close().await;

    let host = Host::resting(Arc::new(NoHandles), Duration::from_millis(50)).await;
    let resident = host.version("0.2.0", |manifest| format!("resident = true\n{manifest}"));
    let pool = host.pool();
    host.plugins.upgrade("storage-probe", Some(&resident), Grant::Nothing).await.unwrap();
    order(&pool, "birth").await.unwrap();
    assert!(!rested(&host).await, "its manifest says so");
    host.close().await;
}

#[tokio::test]
async fn a_round_trip_is_quick() {
    let host = Host::new().await;
    let pool = host.pool();
    order(&pool, "pid").await.unwrap();
    let mut times = Vec::new();
    for _ in 0..2000 {
        let begin = Instant::now();
        pool.pool_usage().await.unwrap();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    eprintln!("round trip p50 {:?} p99 {:?}", times[1000], times[1980]);
    assert!(times[1000] < Duration::from_millis(2));
    host.close().await;
}

fn running_pid(host: &Host) -> i32 {
    match host.plugins.list()[0].processes[0].1 {
        PluginState::Ready { pid } => pid,
        ref other => panic!("not running: {other:?}"),
    }
}
