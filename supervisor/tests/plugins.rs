//! A real plugin in its real sandbox: what it may do, and what hulld does when it misbehaves.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod common;

use std::time::{Duration, Instant};

use common::{Host, order};
use hull_plugin::{Code, OperationId};
use hulld::plugins::PluginState;

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

    // The breaker opens; calls fail at once instead of hanging, until the administrator resets it.
    let error = pool.volume_usage(&"order/die".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    let begin = Instant::now();
    assert!(order(&pool, "pid").await.is_err());
    assert!(begin.elapsed() < Duration::from_millis(100));
    host.plugins.restart("storage-probe").await.unwrap();
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
        host.plugins.restart("storage-probe").await.unwrap();
        assert_eq!(order(&pool, "pid").await, Ok(1));
    }
    let op = OperationId::random();
    let refused = pool.mounted(&op, &"container/pipe".parse().unwrap()).await.unwrap_err().to_string();
    host.plugins.restart("storage-probe").await.unwrap();
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
