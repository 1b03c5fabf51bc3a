//! Containers start, run commands, show what they use, and leave nothing.

mod support;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use hull_plugin::instance::*;
use hull_plugin::testing::context;
use hull_plugin::{Code, ConfigMap, InstanceId, OperationId};
use support::{exec_spec, read_all, spec, wait_status, wait_until, with_driver};

#[test]
fn a_container_boots_and_commands_report_their_ends() {
    with_driver("boots", async |hull| {
        let (id, _) = hull.running("c1", &[("environment.COLOUR", "blue")]).await;
        assert_eq!(hull.exec(&id, &["true"]).await.status, 0);
        assert_eq!(hull.exec(&id, &["false"]).await.status, 1 << 8);
        assert_eq!(hull.exec(&id, &["sh", "-c", "exit 42"]).await.status, 42 << 8);
        assert_eq!(hull.exec(&id, &["sh", "-c", "kill -9 $$"]).await.status, 9);
        let output = hull.exec(&id, &["sh", "-c", "echo out; echo err >&2; pwd"]).await;
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n/root\n", "err\n"));
        let environment = hull.exec(&id, &["cat", "/proc/1/environ"]).await.stdout;
        assert_eq!(environment.split('\0').collect::<Vec<_>>(), ["COLOUR=blue", "container=lxc", ""]);
    });
}

#[test]
fn commands_that_cannot_run_say_why() {
    with_driver("norun", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        for (command, code) in
            [("nothing-here", Code::NotFound), ("/nowhere", Code::NotFound), ("/etc/passwd", Code::Permission)]
        {
            let error = hull.exec_as(exec_spec(&id, &[command])).await.err().unwrap();
            assert_eq!((error.code, error.key.as_deref()), (code, Some("command")), "{command}: {error}");
        }
        let script = hull
            .exec(
                &id,
                &["sh", "-c", "echo 'echo from $0 $1' >/tmp/s; chmod +x /tmp/s 2>/dev/null || busybox chmod +x /tmp/s"],
            )
            .await;
        assert_eq!(script.status, 0, "{}", script.stderr);
        assert_eq!(hull.exec(&id, &["/tmp/s", "x"]).await.stdout, "from /tmp/s x\n");
    });
}

#[test]
fn a_command_has_the_user_and_place_it_was_given() {
    with_driver("user", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        let mut spec = exec_spec(&id, &["sh", "-c", "id -u; id -g; pwd; echo $A; cat /proc/self/status"]);
        (spec.user, spec.group, spec.directory) = (1000, 50, "/tmp".into());
        spec.environment.insert("A".into(), "b".into());
        let output = hull.exec_as(spec).await.unwrap().stdout;
        assert!(output.starts_with("1000\n50\n/tmp\nb\n"), "{output}");
        assert!(output.contains("CapEff:\t0000000000000000"), "{output}");
        assert!(output.contains("Groups:\t \n"), "no supplementary groups: {output}");
        let mut missing = exec_spec(&id, &["pwd"]);
        missing.directory = "/not/there".into();
        assert_eq!(hull.exec_as(missing).await.unwrap().stdout, "/\n");
    });
}

#[test]
fn a_terminal_is_the_containers_own_and_has_a_size() {
    with_driver("tty", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        let size = TerminalSize { columns: 91, rows: 33 };
        let spec = exec_spec(&id, &["sh", "-c", "stty size; readlink /proc/self/fd/0; read x; stty size; exit 7"]);
        let streams = ExecStreams::Terminal(size);
        let done = hull.driver().exec(context(), OperationId::random(), spec, streams).await.unwrap().unwrap();
        let master: OwnedFd = done.terminal.unwrap().into_owned();
        hull_sys::terminal::resize(master.as_fd(), 120, 40).unwrap();
        nix::unistd::write(&master, b"\n").unwrap();
        let output = read_all(master).await;
        assert!(output.contains("/dev/pts/") && output.contains("40 120"), "{output:?}");
        assert_eq!(wait_status(done.status).await, 7 << 8);
    });
}

#[test]
fn init_is_confined_at_least_as_in_lxd() {
    with_driver("confined", async |hull| {
        let (id, _) = hull.running("c1", &[("limits.kernel.nofile", "100:200")]).await;
        let script = "ls /proc/1/fd; cat /proc/1/status /proc/1/limits; cat /proc/kcore | head -c 1; echo b >/proc/sysrq-trigger";
        let output = hull.exec(&id, &["sh", "-c", script]).await;
        let text = output.stdout;
        assert!(text.starts_with("0\n1\n2\nName:"), "only the standard streams are open: {text}");
        // Neither clock, modules, raw I/O nor mandatory access control; all else in its own user namespace.
        assert!(text.contains("CapBnd:\t000001fcfdfcffff"), "{text}");
        assert!(text.contains("Seccomp:\t2") && text.contains("NoNewPrivs:\t0"), "{text}");
        assert!(text.contains("Max open files            100                  200"), "{text}");
        assert!(
            output.stderr.contains("Read-only file system") || output.stderr.contains("can't create"),
            "{}",
            output.stderr
        );
        let mounts = hull.exec(&id, &["cat", "/proc/self/mounts"]).await.stdout;
        for point in ["/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue", "/dev/shm", "/dev/console", "/dev/null"] {
            assert!(mounts.lines().any(|line| line.split(' ').nth(1) == Some(point)), "{point} in {mounts}");
        }
        assert!(!mounts.contains("/cgroup") && !mounts.contains("/plugin"), "the driver's mounts are seen: {mounts}");
        let ids = hull.exec(&id, &["cat", "/proc/self/uid_map"]).await.stdout;
        assert_eq!(ids.split_whitespace().collect::<Vec<_>>(), ["0", "1000000", "1000000000"]);
    });
}

#[test]
fn a_root_without_init_is_not_started() {
    with_driver("noinit", async |hull| {
        let root = hull.rootfs("c1");
        fs::remove_file(root.join("sbin/init")).unwrap();
        let error = hull.try_start("c1", ConfigMap::new(), &root).await.err().unwrap();
        assert_eq!(error.code, Code::NotFound, "{error}");
        assert!(error.to_string().contains("no init in the root file system"), "{error}");
        let bad = ConfigMap::from([("limits.kernel.nofile".to_owned(), "many".to_owned())]);
        let error = hull.try_start("c2", bad, &root).await.err().unwrap();
        assert_eq!((error.code, error.key.as_deref()), (Code::InvalidConfig, Some("limits.kernel.nofile")));
    });
}

#[test]
fn preparing_and_starting_again_changes_nothing() {
    with_driver("again", async |hull| {
        let root = hull.rootfs("c1");
        let first = hull.try_start("c1", ConfigMap::new(), &root).await.unwrap();
        let id = hull_plugin::InstanceId::new("c1").unwrap();
        let cgroup = "c1".to_owned();
        let again = Preparation { instance: id.clone(), idmap: IdMap::default(), cgroup };
        let prepared = hull.driver().prepare(context(), OperationId::random(), again).await.unwrap().unwrap();
        let root = hull.mounted(&root, &prepared);
        let spec = support::spec(&id, ConfigMap::new());
        let second = hull.driver().start(context(), OperationId::random(), spec, root).await.unwrap().unwrap();
        assert_eq!((first.pid, first.handle), (second.pid, second.handle));
    });
}

#[test]
fn state_tells_use_and_interfaces() {
    with_driver("state", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        let state = hull.driver().state(context(), id.clone()).await.unwrap().unwrap();
        assert_eq!(state.pid, started.pid);
        assert!(state.processes >= 1 && state.cpu_nanoseconds > 0 && state.memory_bytes > 0, "{state:?}");
        let [lo] = &state.network[..] else { panic!("{state:?}") };
        assert!(lo.up && lo.name == "lo" && lo.kind == "loopback" && lo.mtu == 65536, "{lo:?}");
        assert!(lo.addresses.iter().any(|one| one.address == "127.0.0.1" && one.netmask == "8"), "{lo:?}");
        hull.driver().freeze(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
        assert!(hull.driver().state(context(), id.clone()).await.unwrap().unwrap().frozen);
        hull.driver().thaw(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
        assert_eq!(hull.exec(&id, &["true"]).await.status, 0);
        // Left frozen: killing must work all the same.
        hull.driver().freeze(context(), OperationId::random(), id).await.unwrap().unwrap();
    });
}

#[test]
fn the_container_is_in_its_cgroups_and_sees_them_as_the_root() {
    with_driver("cgroup", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        for hierarchy in ["memory", "pids", "freezer", "systemd", "unified"] {
            let members = fs::read_to_string(hull.group_path(hierarchy, "c1").join("cgroup.procs")).unwrap();
            assert!(members.lines().any(|pid| pid == started.pid.to_string()), "{hierarchy}: {members}");
        }
        let seen = hull.exec(&id, &["cat", "/proc/1/cgroup", "/proc/self/cgroup"]).await.stdout;
        assert!(seen.lines().all(|line| line.ends_with(":/")), "{seen}");
    });
}

#[test]
fn init_is_told_to_stop_in_its_own_language() {
    with_driver("stop", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        hull.wait_for_boot(&id).await;
        hull.driver().signal(context(), OperationId::random(), id, StopSignal::Halt).await.unwrap().unwrap();
        let process = started.process.into_owned();
        let ended = wait_until(|| {
            let mut list = [nix::poll::PollFd::new(process.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut list, nix::poll::PollTimeout::ZERO) == Ok(1)
        });
        assert!(ended.await, "busybox init did not stop");
    });
}

#[test]
fn who_is_killed_while_it_starts_does_not_come_to_life() {
    with_driver("killed-early", async |hull| {
        let id = InstanceId::new("c1").unwrap();
        let directory = hull.rootfs("c1");
        let prepared = hull.prepare(&id).await;
        let root = hull.mounted(&directory, &prepared);
        let driver = hull.driver();
        let start = driver.start(context(), OperationId::random(), spec(&id, ConfigMap::new()), root);
        let kill = driver.kill(context(), OperationId::random(), id.clone());
        let (started, killed) = tokio::join!(start, kill);
        started.unwrap().unwrap();
        killed.unwrap().unwrap();
        driver.cleanup(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
    });
}
