//! The driver's sandbox as hulld builds it, made between fork and exec.
#![allow(unsafe_code)] // `pre_exec`

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// The host's user that the driver's root is.
pub(crate) const DRIVER_USER: u32 = 700_001;

pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    pub(crate) programs: PathBuf,
    /// The cgroup of this test, below each hierarchy.
    pub(crate) group: String,
    /// Lifecycle, driver, host.
    pub(crate) sockets: [OwnedFd; 3],
    /// That of the driver's first process: containers are its children, so each later process must be in it too.
    pub(crate) user_namespace: Option<OwnedFd>,
}

/// Starts the real plugin in a mount namespace of its own and its user namespace, on descriptors 3 to 5. The second
/// result is the user namespace if it is new.
pub(crate) fn spawn(plan: Plan) -> io::Result<(Child, Option<OwnedFd>)> {
    let (mut ready, tell_ready) = io::pipe()?;
    let (wait_mapped, mut mapped) = io::pipe()?;
    let mapper = std::thread::spawn(move || -> io::Result<Option<OwnedFd>> {
        let mut pid = [0; 4];
        ready.read_exact(&mut pid)?;
        let pid = u32::from_ne_bytes(pid);
        if pid == 0 {
            return Ok(None); // it has joined one
        }
        for file in ["uid_map", "gid_map"] {
            let map = format!("0 {DRIVER_USER} 1\n1000000 1000000 1000000000\n");
            fs::write(format!("/proc/{pid}/{file}"), map)?;
        }
        mapped.write_all(&[1])?;
        fs::File::open(format!("/proc/{pid}/ns/user")).map(|namespace| Some(namespace.into()))
    });
    let mut command = Command::new("/plugin/instance-container");
    command.env_clear().env("HULL_LOG", std::env::var("HULL_LOG").unwrap_or_else(|_| "info,tarpc=error".into()));
    // SAFETY: the closure runs in the forked child before exec and touches nothing that is shared with other threads.
    unsafe {
        command.pre_exec(move || {
            fs::write(format!("/sys/fs/cgroup/unified/{}/driver/cgroup.procs", plan.group), "0")?;
            build_root(&plan)?;
            match &plan.user_namespace {
                Some(namespace) => {
                    nix::sched::setns(namespace, CloneFlags::CLONE_NEWUSER)?;
                    (&tell_ready).write_all(&[0; 4])?;
                }
                None => {
                    unshare(CloneFlags::CLONE_NEWUSER)?;
                    (&tell_ready).write_all(&std::process::id().to_ne_bytes())?;
                    (&wait_mapped).read_exact(&mut [0])?;
                }
            }
            unshare(CloneFlags::CLONE_NEWNET)?; // the manifest's `network = "none"`: a namespace of the driver's own
            nix::unistd::setgroups(&[])?;
            nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
            nix::unistd::setresuid(0.into(), 0.into(), 0.into())?;
            // First out of the way of the numbers they are to have.
            let high =
                plan.sockets.each_ref().map(|socket| nix::fcntl::fcntl(socket, nix::fcntl::FcntlArg::F_DUPFD(100)));
            for (number, socket) in (3..).zip(high) {
                let socket = std::os::fd::BorrowedFd::borrow_raw(socket?);
                hull_sys::fork::duplicate_onto(socket.as_fd(), number)?;
            }
            hull_sys::fork::close_on_exec_from(6)?;
            Ok(())
        });
    }
    let child = command.spawn();
    drop(command); // with its ends of the pipes, for the mapper to end if the child could not start
    let mapped = mapper.join().map_err(|_| io::Error::other("the thread that writes the maps panicked"))?;
    let child = child?;
    mapped.map(|namespace| (child, namespace))
}

fn build_root(plan: &Plan) -> io::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let root = plan.root.as_path();
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    let bind = |from: &Path, to: &str| -> io::Result<()> {
        let to = root.join(to);
        if from.is_dir() {
            fs::create_dir_all(&to)?;
        } else {
            fs::write(&to, "")?;
        }
        Ok(mount(Some(from), &to, none, MsFlags::MS_BIND, none)?)
    };
    bind(Path::new("/usr"), "usr")?;
    bind(Path::new("/sys"), "sys")?;
    bind(&plan.programs, "plugin")?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    fs::create_dir(root.join("dev"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        bind(&Path::new("/dev").join(name), &format!("dev/{name}"))?;
    }
    fs::create_dir(root.join("proc"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &root.join("proc"), Some("proc"), flags, Some("hidepid=ptraceable"))?;
    for hierarchy in super::hierarchies()? {
        let name = hierarchy.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        bind(&hierarchy.join(&plan.group), &format!("cgroup/{name}"))?;
    }
    nix::unistd::chdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(nix::unistd::chdir("/")?)
}
