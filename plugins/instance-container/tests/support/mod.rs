//! A container driver as hulld runs it, a busybox root file system, and the proof that nothing is left of either.
#![allow(dead_code)] // each test program uses its part
#![allow(clippy::unwrap_used, clippy::panic)] // a fixture fails its test by panicking

mod sys;

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use futures::StreamExt;
use hull_plugin::instance::*;
use hull_plugin::tarpc::server::{BaseChannel, Channel};
use hull_plugin::testing::{RecordingHost, context};
use hull_plugin::*;
use hull_sys::mount::{Depth, idmap, open_tree_clone};

/// The host's id of the containers' root.
pub(crate) const BASE: u32 = 1_000_000;

/// Runs one test in a driver of its own.
pub(crate) fn with_driver<F: AsyncFnOnce(&mut Fixture)>(name: &str, test: F) {
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut fixture = Fixture::new(name);
        fixture.start_driver();
        test(&mut fixture).await;
        fixture.finish().await;
    });
}

pub(crate) struct Fixture {
    group: String,
    directory: tempfile::TempDir,
    plugin: Option<Child>,
    user_namespace: Option<OwnedFd>,
    pub(crate) host: RecordingHost,
    clients: Option<(LifecycleClient, InstanceDriverClient)>,
    instances: Vec<InstanceId>,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let group = format!("hulltest-{name}-{}", std::process::id());
        for hierarchy in hierarchies().unwrap() {
            make_group(&hierarchy.join(&group), None);
        }
        let unified = Path::new("/sys/fs/cgroup/unified").join(&group);
        fs::create_dir(unified.join("driver")).unwrap();
        chown(unified.join("cgroup.procs"), Some(sys::DRIVER_USER), None).unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self {
            group,
            directory,
            plugin: None,
            user_namespace: None,
            host: RecordingHost::default(),
            clients: None,
            instances: Vec::new(),
        }
    }

    pub(crate) fn start_driver(&mut self) {
        let root = self.directory.path().join("sandbox");
        fs::create_dir_all(&root).unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_hull-init")).parent().unwrap().to_owned();
        let pair = || hull_sys::message::packet_pair().unwrap();
        let ((lifecycle, one), (driver, two), (host, three)) = (pair(), pair(), pair());
        let user_namespace = self.user_namespace.as_ref().map(|namespace| namespace.try_clone().unwrap());
        let plan = sys::Plan { root, programs, group: self.group.clone(), sockets: [one, two, three], user_namespace };
        let (plugin, new) = sys::spawn(plan).unwrap();
        self.plugin = Some(plugin);
        self.user_namespace = new.or(self.user_namespace.take());
        let lifecycle = LifecycleClient::new(Default::default(), connect(lifecycle).unwrap());
        let driver = InstanceDriverClient::new(Default::default(), connect(driver).unwrap());
        tokio::task::spawn_local(lifecycle.dispatch);
        tokio::task::spawn_local(driver.dispatch);
        let serve = self.host.clone().serve();
        let transport = accept(host).unwrap();
        tokio::task::spawn_local(async move {
            let mut requests = std::pin::pin!(BaseChannel::with_defaults(transport).execute(serve));
            while let Some(request) = requests.next().await {
                tokio::task::spawn_local(request);
            }
        });
        self.clients = Some((lifecycle.client, driver.client));
    }

    /// SIGKILL, then a new process that is given `handles`.
    pub(crate) async fn restart_driver(&mut self, handles: Vec<StoredHandle>) -> Vec<Recovered> {
        self.kill_driver();
        self.start_driver();
        let answers = self.lifecycle().recover(context(), handles).await.unwrap().unwrap();
        self.lifecycle().take_charge(context()).await.unwrap().unwrap();
        answers
    }

    /// Another process beside this one takes over, then this one is killed.
    pub(crate) async fn replace_driver(&mut self, handles: Vec<StoredHandle>) {
        let (mut old, clients) = (self.plugin.take().unwrap(), self.clients.take().unwrap());
        self.start_driver();
        self.lifecycle().recover(context(), handles).await.unwrap().unwrap();
        clients.0.hand_over(context()).await.unwrap().unwrap();
        self.lifecycle().take_charge(context()).await.unwrap().unwrap();
        old.kill().unwrap();
        old.wait().unwrap();
    }

    fn kill_driver(&mut self) {
        if let Some(mut plugin) = self.plugin.take() {
            plugin.kill().unwrap();
            plugin.wait().unwrap();
        }
    }

    pub(crate) fn lifecycle(&self) -> LifecycleClient {
        self.clients.as_ref().unwrap().0.clone()
    }

    pub(crate) fn driver(&self) -> InstanceDriverClient {
        self.clients.as_ref().unwrap().1.clone()
    }

    pub(crate) fn rootfs_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A root file system with busybox in it.
    pub(crate) fn rootfs(&self, name: &str) -> PathBuf {
        let root = self.rootfs_path(name);
        for directory in ["bin", "sbin", "etc", "tmp", "root", "usr"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "ls", "id", "env", "sleep", "true", "false", "stty", "echo", "pwd", "kill", "mount",
            "readlink",
        ] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        symlink("../bin/busybox", root.join("sbin/init")).unwrap();
        fs::write(root.join("etc/inittab"), "::sysinit:/bin/echo booted-well\n::respawn:/bin/sleep 1000\n").unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        root
    }

    /// Groups for an instance, as hulld makes them.
    pub(crate) fn cgroup(&self, instance: &str) -> String {
        for hierarchy in hierarchies().unwrap() {
            make_group(&hierarchy.join(&self.group).join(instance), Some(BASE));
        }
        let freezer = Path::new("/sys/fs/cgroup/freezer").join(&self.group).join(instance);
        chown(freezer.join("freezer.state"), Some(sys::DRIVER_USER), None).unwrap();
        instance.to_owned()
    }

    pub(crate) async fn prepare(&mut self, instance: &InstanceId) -> Prepared {
        let cgroup = self.cgroup(instance.as_str());
        let range = IdRange { inside: 0, outside: BASE, count: 1_000_000_000 };
        let idmap = IdMap { users: vec![range], groups: vec![range] };
        let preparation = Preparation { instance: instance.clone(), idmap, cgroup };
        self.instances.push(instance.clone());
        self.driver().prepare(context(), OperationId::random(), preparation).await.unwrap().unwrap()
    }

    /// The directory as a detached mount in the container's ids.
    pub(crate) fn mounted(&self, directory: &Path, prepared: &Prepared) -> MountFd {
        let tree = open_tree_clone(nix::fcntl::AT_FDCWD, directory, Depth::This).unwrap();
        idmap(tree.as_fd(), prepared.user_namespace.as_ref().unwrap().as_fd()).unwrap();
        MountFd::new(tree)
    }

    pub(crate) async fn try_start(
        &mut self,
        name: &str,
        config: ConfigMap,
        root: &Path,
    ) -> Result<Started, DriverError> {
        let id = InstanceId::new(name).unwrap();
        let prepared = self.prepare(&id).await;
        let root = self.mounted(root, &prepared);
        self.driver().start(context(), OperationId::random(), spec(&id, config), root).await.unwrap()
    }

    /// A running busybox container.
    pub(crate) async fn running(&mut self, name: &str, config: &[(&str, &str)]) -> (InstanceId, Started) {
        let root = self.rootfs(name);
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let started = self.try_start(name, config, &root).await.unwrap();
        (InstanceId::new(name).unwrap(), started)
    }

    /// Until init has run its first entry.
    pub(crate) async fn wait_for_boot(&self, id: &InstanceId) {
        for _ in 0..2000 {
            let log = self.driver().console_log(context(), id.clone()).await.unwrap().unwrap();
            if read_all(log.into_owned()).await.contains("booted-well") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{id} does not boot");
    }

    pub(crate) async fn exec(&self, id: &InstanceId, command: &[&str]) -> Output {
        self.exec_as(exec_spec(id, command)).await.unwrap()
    }

    pub(crate) async fn exec_as(&self, spec: ExecSpec) -> Result<Output, DriverError> {
        let done = self.driver().exec(context(), OperationId::random(), spec, ExecStreams::Pipes).await.unwrap()?;
        drop(done.stdin);
        let stdout = read_all(done.stdout.unwrap().into_owned()).await;
        let stderr = read_all(done.stderr.unwrap().into_owned()).await;
        let status = wait_status(done.status).await;
        Ok(Output { status, stdout, stderr })
    }

    pub(crate) fn group_path(&self, hierarchy: &str, instance: &str) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(hierarchy).join(&self.group).join(instance)
    }

    /// Everything stopped and cleaned up by the driver; what is left then is a leak.
    async fn finish(&mut self) {
        for id in std::mem::take(&mut self.instances) {
            self.driver().kill(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
            self.driver().cleanup(context(), OperationId::random(), id.clone()).await.unwrap().unwrap();
        }
        assert!(self.host.stored.borrow().is_empty(), "left in the store: {:?}", self.host.stored.borrow().keys());
        self.clients = None;
        let mut plugin = self.plugin.take().unwrap();
        let ended = wait_until(|| plugin.try_wait().unwrap().is_some()).await;
        if !ended {
            plugin.kill().unwrap();
            plugin.wait().unwrap();
        }
        assert!(ended, "the driver does not end when hulld closes its sockets");
        reap();
        for hierarchy in hierarchies().unwrap() {
            let top = hierarchy.join(&self.group);
            let empty = wait_until(|| {
                reap();
                remove_groups(&top).is_ok()
            })
            .await;
            let left = fs::read_to_string(top.join("cgroup.procs")).unwrap_or_default();
            assert!(empty, "processes are left in {}: {left}", top.display());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.directory.path().to_str().unwrap()), "mounts are left: {mounts}");
    }
}

impl Drop for Fixture {
    /// After a failed test: whatever runs is ended all the same.
    fn drop(&mut self) {
        if let Some(mut plugin) = self.plugin.take() {
            let _ = plugin.kill();
            let _ = plugin.wait();
        }
        for hierarchy in hierarchies().unwrap_or_default() {
            let top = hierarchy.join(&self.group);
            for _ in 0..200 {
                kill_group(&top);
                reap();
                if remove_groups(&top).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

pub(crate) struct Output {
    /// As of `waitpid`.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn spec(id: &InstanceId, config: ConfigMap) -> InstanceSpec {
    let (hostname, architecture) = (id.to_string(), "x86_64".to_owned());
    InstanceSpec { instance: id.clone(), hostname, architecture, config, init: Vec::new() }
}

pub(crate) fn exec_spec(id: &InstanceId, command: &[&str]) -> ExecSpec {
    ExecSpec {
        instance: id.clone(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: ConfigMap::from([("PATH".to_owned(), "/bin:/sbin".to_owned())]),
        user: 0,
        group: 0,
        directory: "/root".into(),
        terminal: None,
        cgroup: id.to_string(),
    }
}

/// Reads to the end on a thread that may block.
pub(crate) async fn read_all(fd: OwnedFd) -> String {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let end = fs::File::from(fd).read_to_end(&mut text);
        // A terminal's master ends with EIO.
        assert!(end.is_ok() || end.unwrap_err().raw_os_error() == Some(5));
        String::from_utf8_lossy(&text).into_owned()
    });
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap()
}

pub(crate) async fn wait_status(status: StreamFd) -> i32 {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = [0; 4];
        fs::File::from(status.into_owned()).read_exact(&mut bytes).unwrap();
        i32::from_le_bytes(bytes)
    });
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap()
}

/// Looks again and again for at most ten seconds.
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..2000 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

pub(crate) fn hierarchies() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir("/sys/fs/cgroup")?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir() && !path.is_symlink()).collect())
}

fn make_group(path: &Path, owner: Option<u32>) {
    fs::create_dir(path).unwrap();
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if path.join(file).exists() {
            let from_above = fs::read_to_string(path.parent().unwrap().join(file)).unwrap();
            fs::write(path.join(file), from_above.trim()).unwrap();
        }
    }
    for file in [".", "tasks", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        if owner.is_some() && path.join(file).exists() {
            chown(path.join(file), owner, owner).unwrap();
        }
    }
}

fn kill_group(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir()).for_each(|path| kill_group(&path));
    for pid in fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default().lines() {
        let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
        if pid != nix::unistd::getpid() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn remove_groups(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() {
            remove_groups(&entry)?;
        }
    }
    fs::remove_dir(path)
}

/// Takes the ends of orphans that came to us.
fn reap() {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status != WaitStatus::StillAlive) {}
}
