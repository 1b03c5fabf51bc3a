//! A killed driver costs a container nothing, and its console and mounts work before and after.

mod support;

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use hull_plugin::instance::*;
use hull_plugin::testing::context;
use hull_plugin::{Code, OperationId, Recovered, StoredHandle};
use support::{exec_spec, read_all, wait_until, with_driver};

#[test]
fn a_killed_driver_costs_its_containers_nothing() {
    with_driver("recover", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        hull.wait_for_boot(&id).await;
        let long = exec_spec(&id, &["sh", "-c", "read x; exit 5"]);
        let long =
            hull.driver().exec(context(), OperationId::random(), long, ExecStreams::Pipes).await.unwrap().unwrap();

        let stored = |handle| StoredHandle { object: id.to_string(), handle };
        let mut stale = started.handle.clone();
        stale.data = b"{}".to_vec();
        let answers = hull.restart_driver(vec![stored(started.handle), stored(stale)]).await;

        assert_eq!(answers, [Recovered::Adopted, Recovered::Lost]);
        assert_eq!(hull.exec(&id, &["true"]).await.status, 0);
        fs::File::from(long.stdin.unwrap().into_owned()).write_all(b"\n").unwrap();
        assert_eq!(support::wait_status(long.status).await, 5 << 8, "the command never noticed");
        let state = hull.driver().state(context(), id.clone()).await.unwrap().unwrap();
        assert_eq!((state.pid, state.network.len()), (started.pid, 1));
        let log = hull.driver().console_log(context(), id.clone()).await.unwrap().unwrap();
        assert!(read_all(log.into_owned()).await.contains("booted-well"));
    });
}

#[test]
fn a_container_that_ended_meanwhile_is_gone() {
    with_driver("gone", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        hull_sys::process::signal_number(started.process.as_fd(), 9).unwrap();
        assert_eq!(hull_sys::fork::wait(started.pid).unwrap(), 9);
        let handles = vec![StoredHandle { object: id.to_string(), handle: started.handle }];
        let answers = hull.restart_driver(handles).await;
        assert!(matches!(answers[..], [Recovered::Gone { .. }]), "{answers:?}");
    });
}

#[test]
fn the_console_keeps_what_was_printed_and_serves_one_client() {
    with_driver("console", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        let driver = hull.driver();
        let seen =
            || async { read_all(driver.console_log(context(), id.clone()).await.unwrap().unwrap().into_owned()).await };
        hull.wait_for_boot(&id).await;
        assert!(seen().await.contains("booted-well"));
        driver.clear_console_log(context(), id.clone()).await.unwrap().unwrap();
        assert_eq!(seen().await, "");

        let first = UnixStream::from(driver.console(context(), id.clone()).await.unwrap().unwrap().into_owned());
        let second = UnixStream::from(driver.console(context(), id.clone()).await.unwrap().unwrap().into_owned());
        assert_eq!(read_all(first.into()).await, "", "the older client is sent away");
        hull.exec(&id, &["sh", "-c", "echo hello >/dev/console"]).await;
        second.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let mut text = [0; 7];
        let text = tokio::task::spawn_blocking(move || {
            std::io::Read::read_exact(&mut &second, &mut text).unwrap();
            (&second).write_all(b"typed\n").unwrap();
            (text, second)
        });
        assert_eq!(&text.await.unwrap().0, b"hello\r\n");
        let size = TerminalSize { columns: 77, rows: 22 };
        driver.resize_console(context(), id.clone(), size).await.unwrap().unwrap();
        assert_eq!(hull.exec(&id, &["sh", "-c", "stty size </dev/console"]).await.stdout, "22 77\n");
    });
}

#[test]
fn a_successor_goes_on_with_consoles_and_with_what_was_prepared() {
    with_driver("succeed", async |hull| {
        let (id, started) = hull.running("c1", &[]).await;
        hull.wait_for_boot(&id).await;
        let console = hull.driver().console(context(), id.clone()).await.unwrap().unwrap();
        let client = UnixStream::from(console.into_owned());
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let says = async |hull: &support::Fixture, word: &str| {
            hull.exec(&id, &["sh", "-c", &format!("echo {word} >/dev/console")]).await;
            let (client, mut text) = (client.try_clone().unwrap(), vec![0; word.len() + 2]);
            let read = move || std::io::Read::read_exact(&mut &client, &mut text).map(|()| text);
            String::from_utf8(tokio::task::spawn_blocking(read).await.unwrap().unwrap()).unwrap()
        };
        assert_eq!(says(hull, "first").await, "first\r\n");
        let (root, second) = (hull.rootfs("c2"), hull_plugin::InstanceId::new("c2").unwrap());
        let prepared = hull.prepare(&second).await;

        // A successor that fails: the process itself takes charge again.
        hull.lifecycle().hand_over(context()).await.unwrap().unwrap();
        hull.lifecycle().take_charge(context()).await.unwrap().unwrap();
        assert_eq!(says(hull, "again").await, "again\r\n");

        hull.replace_driver(vec![StoredHandle { object: id.to_string(), handle: started.handle }]).await;
        assert_eq!(says(hull, "after").await, "after\r\n");
        let log = hull.driver().console_log(context(), id.clone()).await.unwrap().unwrap();
        let log = read_all(log.into_owned()).await;
        assert!(log.contains("booted-well") && log.contains("again\r\nafter\r\n"), "{log}");
        let root = hull.mounted(&root, &prepared);
        let spec = support::spec(&second, Default::default());
        hull.driver().start(context(), OperationId::random(), spec, root).await.unwrap().unwrap();
        assert_eq!(hull.exec(&second, &["true"]).await.status, 0);
        let kept: Vec<String> = hull.host.stored.borrow().keys().cloned().collect();
        assert!(!kept.iter().any(|key| key.contains("cell") || key.contains("client") || key == "estate"), "{kept:?}");
    });
}

#[test]
fn mounts_come_and_go_in_a_running_container() {
    with_driver("mounts", async |hull| {
        let data = hull.rootfs("data");
        fs::write(data.join("proof"), "here").unwrap();
        let root = hull.rootfs("c1");
        std::os::unix::fs::symlink("/etc", root.join("tmp/outside")).unwrap();
        let id = hull_plugin::InstanceId::new("c1").unwrap();
        let prepared = hull.prepare(&id).await;
        let driver = hull.driver();
        let attach = |path: &str, read_only, tree| {
            let spec = MountSpec { path: path.into(), read_only };
            driver.attach_mount(context(), OperationId::random(), id.clone(), spec, tree)
        };
        attach("/srv/a/b", false, hull.mounted(&data, &prepared)).await.unwrap().unwrap();
        let file = hull.mounted(&data.join("proof"), &prepared);
        attach("/srv/file", true, file).await.unwrap().unwrap();
        let tree = hull.mounted(&root, &prepared);
        let spec = support::spec(&id, Default::default());
        hull.driver().start(context(), OperationId::random(), spec, tree).await.unwrap().unwrap();
        assert_eq!(hull.exec(&id, &["cat", "/srv/a/b/proof", "/srv/file"]).await.stdout, "herehere");

        attach("/tmp/outside/in", true, hull.mounted(&data, &prepared)).await.unwrap().unwrap();
        let output = hull.exec(&id, &["sh", "-c", "cat /etc/in/proof; echo no >/etc/in/x"]).await;
        assert_eq!(output.stdout, "here", "{}", output.stderr);
        assert!(output.stderr.contains("Read-only"), "{}", output.stderr);
        for _ in 0..2 {
            let path = "/etc/in".to_owned();
            hull.driver().detach_mount(context(), OperationId::random(), id.clone(), path).await.unwrap().unwrap();
        }
        assert_ne!(hull.exec(&id, &["cat", "/etc/in/proof"]).await.status, 0);
    });
}

#[test]
fn an_ended_container_says_so() {
    with_driver("ended", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        hull.driver().kill(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
        assert_eq!(hull.exec_as(exec_spec(&id, &["true"])).await.err().unwrap().code, Code::NotFound);
        assert_eq!(hull.driver().state(context(), id).await.unwrap().unwrap_err().code, Code::NotFound);
    });
}

/// Not a promise about speed, but a guard against a step that takes whole milliseconds; prints what it measured.
#[test]
fn starting_and_running_commands_stay_cheap() {
    with_driver("cheap", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        let mut times = Vec::new();
        for _ in 0..40 {
            let begin = Instant::now();
            let spec = exec_spec(&id, &["true"]);
            let done = hull.driver().exec(context(), OperationId::random(), spec, ExecStreams::Pipes).await;
            let done = done.unwrap().unwrap();
            support::wait_status(done.status).await;
            times.push(begin.elapsed());
        }
        times.sort();
        let mut starts = Vec::new();
        for number in 0..8 {
            let name = format!("s{number}");
            let (root, id) = (hull.rootfs(&name), hull_plugin::InstanceId::new(name).unwrap());
            let begin = Instant::now();
            let prepared = hull.prepare(&id).await;
            let prepared_after = begin.elapsed();
            let root = hull.mounted(&root, &prepared);
            let begin = Instant::now();
            let spec = support::spec(&id, Default::default());
            hull.driver().start(context(), OperationId::random(), spec, root).await.unwrap().unwrap();
            starts.push((begin.elapsed(), prepared_after));
            assert!(wait_until(|| true).await);
        }
        starts.sort();
        eprintln!("exec true: median {:?}, best {:?}; start, prepare: {:?}", times[20], times[0], starts);
        assert!(times[20].as_millis() < 50, "{times:?}");
    });
}
