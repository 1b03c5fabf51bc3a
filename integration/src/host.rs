//! A host with a daemon, a pool, perhaps a network, an image `busybox`, and instances.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::command::{Finished, run, until};
use crate::daemon::{Daemon, Settings, Target, programs};
use crate::rest::Rest;
use crate::{fault, image, leaks};

/// See the module. Dropped, it ends its instances and its daemon.
pub struct Host {
    pub rest: Rest,
    daemon: Daemon,
    before: BTreeSet<String>,
    network: Option<String>,
    folder: tempfile::TempDir,
}

/// An instance of a [`Host`].
pub struct Instance<'a> {
    pub host: &'a Host,
    pub name: String,
}

impl Host {
    /// A fresh daemon with nothing in it.
    pub fn empty() -> Result<Self> {
        Self::placed(|_, _| Ok(Settings::default()))
    }

    /// The same, `prepare` having made what is to be at its directory and said how it is started: it is given the story's
    /// folder and the directory.
    pub fn placed(prepare: impl FnOnce(&Path, &Path) -> Result<Settings>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hull-test-").tempdir()?;
        // The root users of instances must get through to their files, and they are others here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let directory = folder.path().join("state");
        std::fs::create_dir_all(&directory)?;
        let before = leaks::of(folder.path(), &directory);
        let settings = prepare(folder.path(), &directory)?;
        let daemon = Daemon::start(Target::of_environment(), &directory, settings)?;
        Ok(Self { rest: Rest::new(daemon.socket()), daemon, before, network: None, folder })
    }

    /// With a pool `default` on driver `dir`, the profile `default` using it, and the image `busybox`.
    pub fn ready() -> Result<Self> {
        Self::empty()?.furnished()
    }

    /// What [`Host::ready`] has beyond [`Host::empty`].
    pub fn furnished(self) -> Result<Self> {
        let host = self;
        host.rest.post("/1.0/storage-pools", &json!({"name": "default", "driver": "dir", "config": {}}))?.metadata()?;
        let root = json!({"type": "disk", "path": "/", "pool": "default"});
        host.rest.put("/1.0/profiles/default", &json!({"config": {}, "devices": {"root": root}}))?.metadata()?;
        let tarball = image::busybox(host.folder.path())?;
        host.client(&["image", "import", &tarball.display().to_string(), "--alias", "busybox"])?.ok()?;
        Ok(host)
    }

    /// The same with a bridge of its own for `eth0`.
    pub fn with_network() -> Result<Self> {
        Self::ready()?.networked()
    }

    /// What [`Host::with_network`] has beyond [`Host::ready`].
    pub fn networked(self) -> Result<Self> {
        let mut host = self;
        let name = format!("ht{:08x}", rand::random::<u32>());
        let config = json!({"ipv4.address": format!("10.{}.{}.1/24", rand::random_range(100..250), rand::random_range(0..250)), "ipv4.nat": "true", "ipv6.address": "none"});
        host.rest.post("/1.0/networks", &json!({"name": name, "type": "bridge", "config": config}))?.metadata()?;
        let devices = json!({
            "root": {"type": "disk", "path": "/", "pool": "default"},
            "eth0": {"type": "nic", "network": name, "name": "eth0"},
        });
        host.network = Some(name);
        host.rest.put("/1.0/profiles/default", &json!({"config": {}, "devices": devices}))?.metadata()?;
        Ok(host)
    }

    pub fn target(&self) -> Target {
        self.daemon.target
    }

    pub fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// Of the daemon's API.
    pub fn socket(&self) -> PathBuf {
        self.daemon.socket()
    }

    /// A place for the story's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn directory(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Debian's unmodified `lxc`.
    pub fn client(&self, arguments: &[&str]) -> Result<Finished> {
        self.client_with_input(arguments, "")
    }

    pub fn client_with_input(&self, arguments: &[&str], input: &str) -> Result<Finished> {
        run(self.prepared(&mut Command::new("lxc")).args(arguments), input)
    }

    /// Hull's own client.
    pub fn hull(&self, arguments: &[&str]) -> Result<Finished> {
        run(self.prepared(&mut Command::new(programs()?.join("hull"))).args(arguments), "")
    }

    /// The client of the target: the same command line either way.
    pub fn either(&self, arguments: &[&str]) -> Result<Finished> {
        match self.target() {
            Target::Hull => self.hull(arguments),
            Target::Lxd => self.client(arguments),
        }
    }

    /// Every client that the target has: the same command lines go to each of them.
    pub fn clients(&self) -> Result<Vec<String>> {
        let own = programs()?.join("hull").display().to_string();
        Ok(match self.target() {
            Target::Hull => vec!["lxc".to_owned(), own],
            Target::Lxd => vec!["lxc".to_owned()],
        })
    }

    /// Runs one of [`Host::clients`].
    pub fn with(&self, client: &str, arguments: &[&str], input: &str) -> Result<Finished> {
        run(self.prepared(&mut Command::new(client)).args(arguments), input)
    }

    /// A line of shell, `$CLIENT` being one of [`Host::clients`]; on a terminal of its own if `terminal`.
    pub fn shell(&self, client: &str, line: &str, terminal: bool) -> Result<Finished> {
        let mut command = Command::new(if terminal { "script" } else { "sh" });
        match terminal {
            true => command.args(["-q", "-e", "-c", line, "/dev/null"]),
            false => command.args(["-c", line]),
        };
        run(self.prepared(&mut command).env("CLIENT", client).env("SHELL", "/bin/sh"), "")
    }

    pub(crate) fn prepared<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let home = self.folder.path().join("home");
        command.env("LXD_SOCKET", self.daemon.socket()).env("HULL_SOCKET", self.daemon.socket()).env("HOME", &home);
        command.env("LXD_CONF", home.join(".config/lxc")).env("HULL_DIR", self.directory())
    }

    /// An instance that has booted: its init has run its start script.
    pub fn running(&self, name: &str) -> Result<Instance<'_>> {
        let instance = self.stopped(name)?;
        instance.start()?;
        Ok(instance)
    }

    /// An instance that has never run.
    pub fn stopped(&self, name: &str) -> Result<Instance<'_>> {
        let body = json!({"name": name, "source": {"type": "image", "alias": "busybox"}});
        self.rest.wait(&self.rest.post("/1.0/instances", &body)?).with_context(|| self.daemon.log())?;
        Ok(Instance { host: self, name: name.to_owned() })
    }

    /// The bytes of an image that is to be imported, not to be run: one file of this content.
    pub fn image(&self, name: &str, content: &[u8]) -> Result<Vec<u8>> {
        let tarball = image::holding(self.folder.path(), name, content)?;
        std::fs::read(&tarball).with_context(|| format!("{tarball:?}"))
    }

    /// The processes of the daemon whose program has this name: plugins, the gateway, the supervisor.
    pub fn processes_named(&self, program: &str) -> Vec<i32> {
        let Some(root) = self.daemon.pid() else { return Vec::new() };
        descendants(root).into_iter().filter(|pid| program_of(*pid).as_deref() == Some(program)).collect()
    }

    /// The daemon's own process, and all below it.
    pub fn processes(&self) -> Vec<i32> {
        let root = self.daemon.pid();
        root.into_iter().chain(root.into_iter().flat_map(descendants)).collect()
    }

    /// The keeper.
    pub fn keeper(&self) -> Option<i32> {
        self.daemon.pid()
    }

    /// The keeper's child that answers requests.
    pub fn supervisor(&self) -> Option<i32> {
        let keeper = self.daemon.pid()?;
        children(keeper).into_iter().find(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains("--supervisor"))
        })
    }

    /// Ends the daemon as a service manager would, and starts it again.
    pub fn restart_daemon(&mut self) -> Result<()> {
        self.daemon.stop()?;
        self.daemon.spawn()
    }

    /// The same, with something happening while no daemon is there.
    pub fn restart_daemon_after(&mut self, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        self.daemon.stop()?;
        meanwhile()?;
        self.daemon.spawn()
    }

    /// A directory with all of this build's programs: another version to upgrade to, as far as hulld knows.
    pub fn another_version(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        for entry in std::fs::read_dir(programs()?)? {
            let (entry, from) = (entry?.file_name(), programs()?);
            let (from, to) = (from.join(&entry), folder.join(&entry));
            let is_program = from.is_file() && from.extension().is_none();
            if is_program && std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to)?;
            }
        }
        Ok(folder)
    }

    /// Any program, with this host's daemon as its own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.prepared(&mut command);
        command
    }

    /// The power fails: every process of the daemon and its instances is gone at once, and with them what the kernel kept for
    /// them. `meanwhile` happens before it comes back, with another boot id.
    pub fn restart_host_after(&mut self, meanwhile: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.daemon.cut()?;
        fault::clear_kernel(self.folder.path(), &self.directory())?;
        meanwhile(self)?;
        let boot_id = self.folder.path().join("boot_id");
        let [a, b] = rand::random::<[u64; 2]>();
        std::fs::write(
            &boot_id,
            format!(
                "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}\n",
                a >> 32,
                a & 0xffff,
                (a >> 16) & 0xfff,
                b & 0xfff,
                b >> 16
            ),
        )?;
        self.daemon.boot_id = Some(boot_id);
        self.daemon.spawn()
    }

    /// SIGKILL to the supervisor.
    pub fn kill_supervisor(&self) -> Result<()> {
        let supervisor = self.supervisor().context("there is no supervisor")?;
        Ok(kill(Pid::from_raw(supervisor), Signal::SIGKILL)?)
    }

    /// Stops every process of the daemon (not of instances) where it is, while `look` runs.
    pub fn halted<T>(&self, look: impl FnOnce() -> Result<T>) -> Result<T> {
        let keeper = self.daemon.pid().context("there is no daemon")?;
        let mut stopped: Vec<i32> = vec![keeper];
        stopped.extend(self.supervisor());
        stopped.extend(fault::processes_below(&self.directory(), "plugins"));
        for pid in &stopped {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP); // one that has just ended
        }
        let seen = look();
        for pid in stopped.iter().rev() {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
        }
        seen
    }

    /// Where this build's programs are.
    pub fn programs() -> Result<PathBuf> {
        programs()
    }

    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Deletes everything through the API, ends the daemon, and proves that the host is as it was.
    pub fn assert_nothing_leaked(mut self) -> Result<()> {
        self.clean_up()?;
        self.assert_no_stale_descriptors()?;
        self.daemon.stop()?;
        let (before, folder, directory) = (self.before.clone(), self.folder.path().to_owned(), self.directory());
        let mut last = Ok(());
        // Namespaces end a moment after their last process.
        let gone = until("nothing is left", Duration::from_secs(10), || {
            last = leaks::none_left(&before, &folder, &directory);
            last.is_ok().then_some(())
        });
        last.and(gone).with_context(|| self.daemon.log())
    }

    /// Disk, kernel and API say the same.
    pub fn assert_whole(&self) -> Result<()> {
        crate::cut::assert_whole(self)
    }

    /// Like [`Host::assert_nothing_leaked`], but the host goes on: its directory is on a disk that is to be unmounted.
    pub fn leave(&mut self) -> Result<()> {
        self.clean_up()?;
        self.assert_no_stale_descriptors()?;
        self.daemon.stop()
    }

    /// With no instance left, neither keeper nor supervisor holds anything of one.
    fn assert_no_stale_descriptors(&self) -> Result<()> {
        if self.target() == Target::Lxd {
            return Ok(());
        }
        let mut last = Ok(());
        let clean = until("no descriptor of an instance is left", Duration::from_secs(10), || {
            let mut pids = self.daemon.pid().into_iter().chain(self.supervisor());
            last = pids.try_for_each(leaks::no_stale_descriptors);
            last.is_ok().then_some(())
        });
        clean.or(last).with_context(|| self.daemon.log())
    }

    fn clean_up(&self) -> Result<()> {
        let instances = self.rest.get("/1.0/instances")?.metadata()?;
        for url in instances.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let state = self.rest.get(&format!("{url}/state"))?.metadata()?;
            if state["status"] != "Stopped" {
                let stop = json!({"action": "stop", "force": true, "timeout": 30});
                self.rest.wait(&self.rest.put(&format!("{url}/state"), &stop)?)?;
            }
            self.rest.wait(&self.rest.delete(url)?)?;
        }
        self.rest.put("/1.0/profiles/default", &json!({"config": {}, "devices": {}}))?.metadata()?;
        let images = self.rest.get("/1.0/images")?.metadata()?;
        for url in images.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.rest.wait(&self.rest.delete(url)?)?;
        }
        let networks = self.rest.get("/1.0/networks?recursion=1")?.metadata()?;
        let own = networks.as_array().into_iter().flatten().filter(|network| network["managed"] == true);
        for name in own.filter_map(|network| network["name"].as_str()) {
            self.rest.delete(&format!("/1.0/networks/{name}"))?.metadata()?;
        }
        let pools = self.rest.get("/1.0/storage-pools")?.metadata()?;
        for url in pools.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let volumes = self.rest.get(&format!("{url}/volumes/custom"))?.metadata()?;
            for volume in volumes.as_array().into_iter().flatten().filter_map(Value::as_str) {
                self.rest.delete(volume)?.metadata()?;
            }
            self.rest.delete(url)?.metadata()?;
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A story that failed half-way; one that ended well has nothing left to clean up.
        if self.daemon.pid().is_some()
            && let Err(error) = self.clean_up()
        {
            eprintln!("cannot clean up after the story: {error:#}\n{}", self.daemon.log());
            if let Err(error) = self.daemon.stop() {
                eprintln!("the story's daemon: {error}");
            }
            crate::demolish::demolish(&self.directory(), self.network());
        }
    }
}

impl Instance<'_> {
    fn url(&self) -> String {
        format!("/1.0/instances/{}", self.name)
    }

    /// Starts it and waits until its start script has run.
    pub fn start(&self) -> Result<()> {
        self.change("start", false)?;
        until("the instance has booted", Duration::from_secs(20), || {
            let finished = self.exec(&["cat", "/run/booted"]).ok()?;
            (finished.status == 0).then_some(())
        })
        .with_context(|| self.host.log())
    }

    /// `PUT …/state`
    pub fn change(&self, action: &str, force: bool) -> Result<()> {
        let body = json!({"action": action, "force": force, "timeout": 30});
        let rest = &self.host.rest;
        rest.wait(&rest.put(&format!("{}/state", self.url()), &body)?).map(drop).with_context(|| self.host.log())
    }

    pub fn status(&self) -> Result<String> {
        let state = self.host.rest.get(&format!("{}/state", self.url()))?.metadata()?;
        Ok(state["status"].as_str().unwrap_or_default().to_owned())
    }

    pub fn pid(&self) -> Result<i64> {
        let state = self.host.rest.get(&format!("{}/state", self.url()))?.metadata()?;
        state["pid"].as_i64().context("no pid")
    }

    /// Runs a command in it with the real client.
    pub fn exec(&self, command: &[&str]) -> Result<Finished> {
        let mut arguments = vec!["exec", &self.name, "--"];
        arguments.extend(command);
        self.host.client(&arguments)
    }

    /// Its IPv4 address on `eth0`, when it has one.
    pub fn address(&self) -> Result<String> {
        until("the instance has an address", Duration::from_secs(30), || {
            let state = self.host.rest.get(&format!("{}/state", self.url())).ok()?.metadata().ok()?;
            let addresses = state["network"]["eth0"]["addresses"].as_array()?.clone();
            let found = addresses.iter().find(|one| one["family"] == "inet" && one["scope"] == "global")?;
            found["address"].as_str().map(str::to_owned)
        })
        .with_context(|| self.host.log())
    }

    pub fn delete(&self) -> Result<()> {
        self.host.rest.wait(&self.host.rest.delete(&self.url())?).map(drop)
    }
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    // A child is listed with the thread that made it.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn descendants(pid: i32) -> Vec<i32> {
    let own = children(pid);
    let theirs = own.iter().flat_map(|child| descendants(*child)).collect::<Vec<_>>();
    own.into_iter().chain(theirs).collect()
}

/// A plugin's program is `/plugin` in its sandbox, whichever it is; its own name is its first argument: `storage-dir@default`.
fn program_of(pid: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    if path != Path::new("/plugin") {
        return Some(path.file_name()?.to_string_lossy().into_owned());
    }
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let name = String::from_utf8_lossy(arguments.split(|byte| *byte == 0).next()?).into_owned();
    let plugin = name.split('@').next()?.to_owned();
    Some(if plugin == "gateway" { "hull-gateway".to_owned() } else { plugin })
}
