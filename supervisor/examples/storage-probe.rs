//! A driver for hulld's own tests: volume names are orders, errors are answers.

use std::os::fd::AsFd;
use std::time::Duration;

use hull_plugin::storage::{NewVolume, Reconciled, StorageDriver, Usage, VolumeRoot};
use hull_plugin::{
    Charge, Code, ConfigMap, Context, Description, Driver, DriverError, Handle, Health, HostHandle, OperationId,
    PoolName, Progress, Recovered, ServiceSpec, StoredHandle, VolumeName,
};

hull_plugin::manifest!("../tests/fixtures/storage-probe.toml");

fn main() -> std::process::ExitCode {
    // How it misbehaves lies in its state directory, as a test has put it there for the next process.
    let flaw = std::fs::read_to_string("/state/flaw").unwrap_or_default();
    if !flaw.is_empty() {
        let _ = std::fs::remove_file("/state/flaw"); // for one process
    }
    eprintln!("a probe starts {flaw}");
    match flaw.as_str() {
        "crash" => std::process::abort(),
        "mute" => loop {
            std::thread::sleep(Duration::from_secs(1000));
        },
        _ => {
            hull_plugin::serve_storage(|host| Probe { host, flaw: flaw.into(), born: now(), charge: Charge::default() })
        }
    }
}

#[derive(Clone)]
struct Probe {
    host: HostHandle,
    flaw: std::rc::Rc<str>,
    /// Tells one process from another.
    born: u64,
    charge: Charge,
}

/// In microseconds.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

impl Driver for Probe {
    fn describe(&self) -> Description {
        let capabilities = vec!["probe".into()];
        let driver = if &*self.flaw == "identity" { "other" } else { "probe" };
        let (driver, version) = (driver.into(), "0.1.0".into());
        Description { driver, version, capabilities, concurrency: 4, queue: 32, ..Description::default() }
    }

    async fn recover(&self, handles: Vec<StoredHandle>) -> Result<Vec<Recovered>, DriverError> {
        self.never_if("recover").await;
        Ok(vec![Recovered::Adopted; handles.len()])
    }

    async fn health(&self) -> Health {
        match &*self.flaw {
            "health" => Health::Unhealthy { why: "a test says so".into() },
            _ => Health::Ready,
        }
    }

    async fn take_charge(&self) -> Result<(), DriverError> {
        match &*self.flaw {
            "die-in-charge" => std::process::abort(),
            "charge" => Err(DriverError::new(Code::Unavailable, "a test says so")),
            _ => {
                self.charge.take();
                Ok(())
            }
        }
    }

    async fn hand_over(&self) -> Result<(), DriverError> {
        match std::fs::exists("/state/busy") {
            Ok(true) => Err(DriverError::new(Code::Busy, "a test says so")),
            _ => {
                self.charge.rest().await.give_up();
                Ok(())
            }
        }
    }
}

impl Probe {
    async fn never_if(&self, flaw: &str) {
        if &*self.flaw == flaw {
            std::future::pending::<()>().await;
        }
    }
}

/// What an attempt came to, as text in an error: `ok` or the error's name.
fn outcome<T>(result: std::io::Result<T>) -> Result<u64, DriverError> {
    let text = result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".into());
    Err(DriverError::new(Code::Unsupported, text))
}

impl Probe {
    async fn obey(&self, order: &str) -> Result<u64, DriverError> {
        match order {
            "pid" => Ok(u64::from(std::process::id())),
            "birth" => Ok(self.born),
            "linger" => {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                Ok(self.born)
            }
            // As if it had been on its way until now.
            "change-late" => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                let _share = self.charge.share().await?;
                Ok(self.born)
            }
            "never-in-charge" => Err(DriverError::new(Code::HandedOver, "a test says so")),
            "user" => Ok(u64::from(nix::unistd::geteuid().as_raw())),
            "die" => std::process::abort(),
            "hang" => loop {
                std::thread::sleep(Duration::from_secs(1000));
            },
            "shadow" => outcome(std::fs::read("/etc/shadow")),
            "hostname" => outcome(std::fs::read("/etc/hostname")),
            "network" => outcome(std::net::TcpStream::connect("127.0.0.1:22")),
            "interfaces" => Ok(nix::ifaddrs::getifaddrs().map_or(0, |all| all.count() as u64)),
            "proc" => outcome(std::fs::metadata("/proc/1")),
            "write-root" => outcome(std::fs::write("/x", "x")),
            "write-usr" => outcome(std::fs::write("/usr/x", "x")),
            "write-state" => outcome(std::fs::write("/state/x", "x")),
            "write-pool" => outcome(std::fs::write("/pool/x", "x")),
            "execute" => outcome(std::process::Command::new("/usr/bin/true").status()),
            "chroot" => outcome(nix::unistd::chroot("/state").map_err(Into::into)),
            "unshare" => outcome(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map_err(Into::into)),
            "descriptors" => Ok((3..256)
                .filter(|fd| nix::fcntl::fcntl(borrow(*fd), nix::fcntl::FcntlArg::F_GETFD).is_ok())
                .count() as u64),
            "store" => {
                self.host
                    .store("state", std::os::fd::OwnedFd::from(std::fs::File::create("/state/kept").map_err(io)?))
                    .await?;
                Ok(1)
            }
            "fetch" => Ok(u64::from(self.host.fetch("state").await?.is_some())),
            "service" => {
                let arguments = vec!["1000".into()];
                let spec = ServiceSpec { key: "sleeper".into(), service: "sleep".into(), arguments };
                let process = self.host.start_service(spec).await?;
                Ok(u64::from(process.as_fd().try_clone_to_owned().is_ok()))
            }
            "smuggle" => smuggle().map(|()| 1).map_err(io),
            "stop-service" => self.host.stop_service("sleeper").await.map(|()| 1),
            "service-pid" => match self.host.service_state("sleeper").await? {
                hull_plugin::ServiceState::Running { pid } => Ok(u64::from(pid.unsigned_abs())),
                _ => Ok(0),
            },
            _ => Ok(0),
        }
    }
}

/// Frames of nonsense with as many descriptors as go into one, on the channels that hulld reads.
fn smuggle() -> std::io::Result<()> {
    let folder = || std::fs::File::open("/usr").map(std::os::fd::OwnedFd::from);
    for number in [hull_plugin::HOST_FD, hull_plugin::DRIVER_FD, hull_plugin::LIFECYCLE_FD] {
        for _ in 0..20 {
            let folders = (0..16).map(|_| folder()).collect::<Result<Vec<_>, _>>()?;
            // hulld may have closed it already.
            let _ = hull_sys::message::send(borrow(number), &[0xff; 512], &folders);
        }
    }
    Ok(())
}

fn io(error: std::io::Error) -> DriverError {
    DriverError::system(&error, "probe")
}

#[allow(unsafe_code)]
fn borrow(fd: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: only asked whether it is open; never used as anything.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

impl StorageDriver for Probe {
    async fn create_pool(
        self,
        _: Context,
        _: OperationId,
        _: PoolName,
        config: ConfigMap,
    ) -> Result<ConfigMap, DriverError> {
        Ok(config)
    }
    async fn delete_pool(self, _: Context, _: OperationId, _: PoolName) -> Result<(), DriverError> {
        Ok(())
    }
    async fn open_pool(self, _: Context, _: PoolName, _: ConfigMap) -> Result<(), DriverError> {
        Ok(())
    }
    async fn pool_usage(self, _: Context) -> Result<Usage, DriverError> {
        Ok(Usage::default())
    }
    async fn create_volume(self, _: Context, op: OperationId, _: NewVolume) -> Result<Option<Handle>, DriverError> {
        let progress = Progress { stage: "unpack".into(), percent: Some(50), processed: None, speed: None };
        self.host.progress(&op, progress).await;
        // A pool that takes its time: as many milliseconds as a file in it says.
        if let Some(slow) = std::fs::read_to_string("/pool/slow").ok().and_then(|text| text.trim().parse().ok()) {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        Ok(Some(Handle { version: 1, data: vec![1] }))
    }
    async fn delete_volume(self, _: Context, _: OperationId, _: VolumeName) -> Result<(), DriverError> {
        Ok(())
    }
    async fn rename_volume(self, _: Context, _: OperationId, _: VolumeName, _: VolumeName) -> Result<(), DriverError> {
        Ok(())
    }
    async fn mount_volume(self, _: Context, _: OperationId, volume: VolumeName) -> Result<VolumeRoot, DriverError> {
        match volume.parts().1 {
            "descriptor" => {
                let root = std::fs::File::open("/pool").map_err(io)?;
                Ok(VolumeRoot::Mount(std::os::fd::OwnedFd::from(root).into()))
            }
            "climb" => Ok(VolumeRoot::InPool("../".into())),
            "pipe" => {
                let (pipe, _) = std::io::pipe().map_err(io)?;
                Ok(VolumeRoot::Mount(hull_plugin::MountFd::new(pipe)))
            }
            "link" => {
                _ = std::os::unix::fs::symlink("/", "/pool/link");
                Ok(VolumeRoot::InPool("link".into()))
            }
            name => {
                std::fs::create_dir_all(format!("/pool/{name}")).map_err(io)?;
                Ok(VolumeRoot::InPool(name.into()))
            }
        }
    }
    async fn unmount_volume(self, _: Context, _: OperationId, _: VolumeName) -> Result<(), DriverError> {
        Ok(())
    }
    async fn volume_usage(self, _: Context, volume: VolumeName) -> Result<Usage, DriverError> {
        let bytes_used = self.obey(volume.parts().1).await?;
        Ok(Usage { bytes_used, ..Usage::default() })
    }
    async fn resize_volume(
        self,
        _: Context,
        _: OperationId,
        _: VolumeName,
        bytes: Option<u64>,
    ) -> Result<Option<u64>, DriverError> {
        Ok(bytes)
    }
    async fn reconcile(self, _: Context, _: Vec<VolumeName>, _: bool) -> Result<Reconciled, DriverError> {
        Ok(Reconciled::default())
    }
    async fn collect(self, _: Context, _: OperationId, _: Vec<String>) -> Result<(), DriverError> {
        Ok(())
    }
}
