//! A whole Debian with systemd. `HULL_DEBIAN_ROOT` names one; otherwise it is built with mmdebstrap.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hull_plugin::instance::StopSignal;
use hull_plugin::testing::context;
use hull_plugin::{ConfigMap, InstanceId, OperationId};
use support::{exec_spec, wait_until, with_driver};

#[test]
#[ignore = "builds a Debian root file system: about a minute"]
fn debian_boots_to_its_goal_and_stops_when_asked() {
    let place = tempfile::tempdir().unwrap();
    let root = std::env::var_os("HULL_DEBIAN_ROOT").map(PathBuf::from).unwrap_or_else(|| {
        let root = place.path().join("root");
        let mut build = Command::new("mmdebstrap");
        build.args(["--variant=minbase", "--include=systemd-sysv,dbus", "bookworm"]).arg(&root);
        assert!(build.status().unwrap().success());
        root
    });
    with_driver("systemd", async |hull| {
        let begin = Instant::now();
        let started = hull.try_start("deb", ConfigMap::new(), &root).await.unwrap();
        let id = InstanceId::new("deb").unwrap();
        let mut state = String::new();
        while !["running\n", "degraded\n"].contains(&state.as_str()) && begin.elapsed() < Duration::from_secs(60) {
            let mut spec = exec_spec(&id, &["systemctl", "is-system-running"]);
            spec.environment.insert("PATH".into(), "/usr/bin:/bin".into());
            state = hull.exec_as(spec).await.unwrap().stdout;
        }
        let failed = hull.exec(&id, &["/usr/bin/systemctl", "--failed", "--no-legend", "--plain"]).await.stdout;
        eprintln!("{} after {:?}; failed: {failed:?}", state.trim(), begin.elapsed());
        assert_eq!((state.as_str(), failed.as_str()), ("running\n", ""));
        let virt = hull.exec(&id, &["/usr/bin/systemd-detect-virt"]).await.stdout;
        assert_eq!(virt, "lxc\n");

        hull.driver().signal(context(), OperationId::random(), id, StopSignal::Halt).await.unwrap().unwrap();
        let begin = Instant::now();
        let alive = || std::path::Path::new(&format!("/proc/{}/root/sbin", started.pid)).exists();
        assert!(wait_until(|| !alive()).await, "systemd did not stop");
        eprintln!("stopped after {:?}", begin.elapsed());
    });
}
