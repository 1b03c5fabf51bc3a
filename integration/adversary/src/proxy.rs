//! Passing frames on, in both directions of three channels, a thread each.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hull_adversary::{DRIVER, Order, PLACE, Phase};
use hull_plugin::{DRIVER_FD, HOST_FD, LIFECYCLE_FD, PluginKind};
use hull_sys::message::{blocking_packet_pair, inherited, receive, send};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::fault::{self, Then};
use crate::frame;

/// Ids of our own upcalls start here: their answers are not the driver's.
pub(crate) const OWN_IDS: u64 = 1 << 40;

/// One channel: the end towards hulld and the end towards the driver.
pub(crate) struct Channel {
    pub(crate) outer: OwnedFd,
    pub(crate) inner: OwnedFd,
    /// By their numbers on the wire; empty for upcalls, which are only passed on.
    methods: Vec<String>,
    /// Requests whose answers meet an order.
    armed: Mutex<BTreeMap<u64, Armed>>,
}

/// What becomes of an answer.
enum Armed {
    /// The order is for it.
    Fault(Order, PathBuf),
    /// It waits until the fault has been committed.
    Held,
    /// It is to be lost.
    Lost,
}

/// Everything a fault can reach.
pub(crate) struct Adversary {
    pub(crate) name: String,
    pub(crate) orders: PathBuf,
    pub(crate) driver: Pid,
    pub(crate) host: Arc<Channel>,
    /// The answers to our own upcalls are left lying while this is set.
    pub(crate) deaf: AtomicBool,
}

/// A call that meets an order, and its answer if there is one.
pub(crate) struct Call<'a> {
    pub(crate) channel: &'a Channel,
    pub(crate) id: u64,
    pub(crate) method: usize,
    pub(crate) answer: Option<(&'a [u8], &'a [OwnedFd])>,
}

pub(crate) fn run(name: &str) -> io::Result<ExitCode> {
    let orders = PathBuf::from(std::fs::read_to_string(PLACE)?.trim());
    let (lifecycle, theirs_lifecycle) = channel(LIFECYCLE_FD, hull_plugin::lifecycle_methods())?;
    let (contract, theirs_contract) = channel(DRIVER_FD, hull_plugin::methods(kind(name)?))?;
    let (host, theirs_host) = channel(HOST_FD, Vec::new())?;
    let mut child = start(name, [theirs_lifecycle, theirs_contract, theirs_host])?;
    let driver = Pid::from_raw(child.id().cast_signed());
    let adversary =
        Arc::new(Adversary { name: name.to_owned(), orders, driver, host: host.clone(), deaf: AtomicBool::new(false) });
    for channel in [lifecycle, contract] {
        spawn(&adversary, &channel, requests);
        spawn(&adversary, &channel, answers);
    }
    spawn(&adversary, &host, upcalls);
    spawn(&adversary, &host, upcall_answers);
    let janitor = adversary.clone();
    std::thread::spawn(move || fault::clean_up(&janitor));
    ended(&mut child)
}

fn kind(name: &str) -> io::Result<PluginKind> {
    match name.split('-').next() {
        Some("storage") => Ok(PluginKind::Storage),
        Some("network") => Ok(PluginKind::Network),
        Some("instance") => Ok(PluginKind::Instance),
        Some("image") => Ok(PluginKind::Image),
        _ => Err(io::Error::other("this is no plugin's name")),
    }
}

fn channel(number: i32, methods: Vec<String>) -> io::Result<(Arc<Channel>, OwnedFd)> {
    let outer = inherited(number)?;
    // Our end only: hulld's stays as it is.
    nix::fcntl::fcntl(&outer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()))?;
    let (inner, theirs) = blocking_packet_pair()?;
    nix::fcntl::fcntl(&theirs, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok((Arc::new(Channel { outer, inner, methods, armed: Mutex::default() }), theirs))
}

/// The real driver, with the three sockets where hulld would have put them. It follows us.
fn start(name: &str, sockets: [OwnedFd; 3]) -> io::Result<Child> {
    let mut command = match std::fs::exists(DRIVER)? {
        true => Command::new(DRIVER),
        false => {
            let mut command = Command::new("/plugin");
            command.arg("images");
            command
        }
    };
    command.arg0(format!("driver:{name}"));
    sys::hand_over(&mut command, sockets);
    command.spawn()
}

/// Ends as the driver ends.
fn ended(child: &mut Child) -> io::Result<ExitCode> {
    let status = child.wait()?;
    match status.signal() {
        Some(signal) => {
            eprintln!("the driver was ended by {}", Signal::try_from(signal).map_or("a signal", |name| name.as_str()));
            std::process::abort()
        }
        None => Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))),
    }
}

fn spawn(adversary: &Arc<Adversary>, channel: &Arc<Channel>, pass: fn(&Adversary, &Channel) -> io::Result<()>) {
    let (adversary, channel) = (adversary.clone(), channel.clone());
    std::thread::spawn(move || {
        // Whoever ends first closes the other side of this direction; the driver's end is noticed elsewhere.
        let _ = pass(&adversary, &channel);
        let _ = nix::sys::socket::shutdown(channel.inner.as_raw_fd(), nix::sys::socket::Shutdown::Write);
    });
}

fn requests(adversary: &Adversary, channel: &Channel) -> io::Result<()> {
    each(&channel.outer, |frame, descriptors| {
        let ordered = frame::request(frame).and_then(|(id, method)| {
            let name = channel.methods.get(method)?;
            Some((id, method, Order::take(&adversary.orders, &adversary.name, name)?))
        });
        let Some((id, method, (order, path))) = ordered else {
            return Ok(send(channel.inner.as_fd(), frame, descriptors)?);
        };
        let call = Call { channel, id, method, answer: None };
        match order.phase {
            Phase::Before => {
                if fault::commit(adversary, &call, order, &path) == Then::PassOn {
                    send(channel.inner.as_fd(), frame, descriptors)?;
                }
            }
            Phase::During => {
                channel.arm(id, Armed::Held);
                send(channel.inner.as_fd(), frame, descriptors)?;
                std::thread::sleep(std::time::Duration::from_micros(order.seed % 3000));
                match fault::commit(adversary, &call, order, &path) {
                    Then::PassOn => channel.disarm(id),
                    Then::Lose => channel.arm(id, Armed::Lost),
                }
            }
            Phase::After => {
                channel.arm(id, Armed::Fault(order, path));
                send(channel.inner.as_fd(), frame, descriptors)?;
            }
        }
        Ok(())
    })
}

fn answers(adversary: &Adversary, channel: &Channel) -> io::Result<()> {
    each(&channel.inner, |frame, descriptors| {
        let then = match frame::answer(frame).and_then(|(id, method, _)| Some((id, method, channel.disarmed(id)?))) {
            None => Then::PassOn,
            Some((id, method, Armed::Fault(order, path))) => {
                let call = Call { channel, id, method, answer: Some((frame, descriptors)) };
                fault::commit(adversary, &call, order, &path)
            }
            Some(_) => Then::Lose,
        };
        match then {
            Then::PassOn => Ok(send(channel.outer.as_fd(), frame, descriptors)?),
            Then::Lose => Ok(()),
        }
    })
}

fn upcalls(_: &Adversary, channel: &Channel) -> io::Result<()> {
    each(&channel.inner, |frame, descriptors| Ok(send(channel.outer.as_fd(), frame, descriptors)?))
}

fn upcall_answers(adversary: &Adversary, channel: &Channel) -> io::Result<()> {
    each(&channel.outer, |frame, descriptors| match frame::answer(frame) {
        Some((id, ..)) if id >= OWN_IDS => {
            fault::heard(adversary);
            Ok(())
        }
        _ => Ok(send(channel.inner.as_fd(), frame, descriptors)?),
    })
}

fn each(from: &OwnedFd, mut pass: impl FnMut(&[u8], &[OwnedFd]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; frame::MAX_FRAME + 1];
    loop {
        let (length, descriptors) = receive(from.as_fd(), &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        pass(&buffer[..length], &descriptors)?;
    }
}

impl Channel {
    fn armed(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, id: u64, armed: Armed) {
        self.armed().insert(id, armed);
    }

    fn disarm(&self, id: u64) {
        self.armed().remove(&id);
    }

    /// What is armed for this answer, once nothing holds it any more.
    fn disarmed(&self, id: u64) -> Option<Armed> {
        loop {
            let mut armed = self.armed();
            if !matches!(armed.get(&id), Some(Armed::Held)) {
                return armed.remove(&id);
            }
            drop(armed);
            std::thread::sleep(std::time::Duration::from_micros(200)); // the fault is being committed
        }
    }
}

#[allow(unsafe_code)]
mod sys {
    use super::{Command, CommandExt, OwnedFd, Signal};
    use std::os::fd::AsRawFd;

    /// The child gets the sockets as descriptors 3, 4 and 5, and dies with us.
    pub(super) fn hand_over(command: &mut Command, sockets: [OwnedFd; 3]) {
        let place = move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            for (number, socket) in (3..).zip(&sockets) {
                // SAFETY: after the fork nothing else uses the numbers 3 to 5: hulld's sockets there are closed by this.
                if unsafe { nix::libc::dup2(socket.as_raw_fd(), number) } < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: only system calls that are safe between fork and exec; the sockets' own numbers are above 5, because
        // 3 to 5 were taken by those that hulld gave us.
        unsafe { command.pre_exec(place) };
    }
}
