//! The real hulld: what survives its supervisor, and how it ends.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Cgroups, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Daemon {
    keeper: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Daemon {
    /// Starts hulld; without a gateway it ends by itself, with its reason on stderr.
    fn start(program: &Path, hull_dir: &Path) -> Self {
        let mut keeper = Command::new(program)
            .env("HULL_DIR", hull_dir)
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(keeper.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| _ = sender.send(line)));
        Self { keeper, lines }
    }

    fn wait_until_ready(&self) {
        self.wait_for(&["hulld::daemon", "ready"]);
    }

    /// The next line with all of these texts.
    fn wait_for(&self, texts: &[&str]) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if texts.iter().all(|text| line.contains(text)) {
                return line;
            }
            seen.push(line);
        }
        panic!("no {texts:?} in {seen:#?}");
    }

    /// Asks it to end, keeping instances, and waits until it has.
    fn end(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        self.wait_for(&["hulld ends how=Daemon(DaemonOnly)"]);
        let until = Instant::now() + Duration::from_secs(10);
        while self.keeper.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "hulld does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.keeper.wait().unwrap().success());
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.keeper.id()).unwrap())
    }

    /// The keeper has other children, too: gateways.
    fn supervisor(&self) -> i32 {
        let pid = self.keeper.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let is_supervisor = |pid: &&str| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains("--supervisor"))
        };
        children.split_whitespace().find(is_supervisor).unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A HULL_DIR and a directory with hulld and a stand-in for the gateway that only lives.
fn stage() -> (tempfile::TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("hulld");
    std::fs::copy(programs().join("hulld"), &program).unwrap();
    std::fs::copy(programs().join("storage-probe"), place.path().join("hull-gateway")).unwrap();
    std::fs::create_dir(place.path().join("state")).unwrap();
    (place, program)
}

fn leave_nothing(hull_dir: &Path) {
    let groups = Cgroups::open(hull_dir).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        groups.all().kill_all(Duration::from_secs(5)).await.unwrap();
        groups.all().remove().await.unwrap();
    });
}

#[test]
fn the_socket_outlives_the_supervisor_and_a_second_hulld_is_refused() {
    let (place, program) = stage();
    let hull_dir = place.path().join("state");
    let daemon = Daemon::start(&program, &hull_dir);
    daemon.wait_until_ready();
    let socket = hull_dir.join("unix.socket");
    let status = std::fs::metadata(&socket).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&status.permissions()) & 0o777, 0o660);
    let inode = std::os::unix::fs::MetadataExt::ino(&status);

    let second = Daemon::start(&program, &hull_dir);
    second.wait_for(&["another hulld uses"]);
    drop(second);

    let supervisor = daemon.supervisor();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    // The listening socket is the keeper's too: nobody is refused even now.
    let mut held = UnixStream::connect(&socket).unwrap();
    held.write_all(b"GET /1.0 HTTP/1.1\r\n").unwrap();
    daemon.wait_until_ready();
    assert_ne!(daemon.supervisor(), supervisor);
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&socket).unwrap()), inode);

    daemon.end();
    held.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(held.read(&mut [0; 1]).unwrap_or(0), 0);
    leave_nothing(&hull_dir);
}

#[test]
fn the_keeper_is_small() {
    let (place, program) = stage();
    let hull_dir = place.path().join("state");
    let daemon = Daemon::start(&program, &hull_dir);
    daemon.wait_until_ready();
    // Its own memory: code and libraries are shared with the supervisor.
    let own = |pid: i32| -> u64 {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let kilobytes = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        kilobytes.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let keeper = own(daemon.pid().as_raw());
    eprintln!("keeper {keeper} kB, supervisor {} kB", own(daemon.supervisor()));
    // Much of it is the relocated data of the program that it shares with the supervisor, most in an unoptimised one.
    assert!(keeper < 3072, "{keeper} kB");
    daemon.end();
    leave_nothing(&hull_dir);
}
