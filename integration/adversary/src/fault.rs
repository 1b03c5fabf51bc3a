//! Committing a fault.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hull_adversary::{Fault, Order, STUCK};
use hull_sys::message::{MAX_DESCRIPTORS, send};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Shutdown, shutdown};

use crate::frame::{self, MAX_FRAME};
use crate::memory;
use crate::proxy::{Adversary, Call, OWN_IDS};

/// How many upcalls are a flood, and how many descriptors.
const FLOOD: u64 = 5_000;
const DESCRIPTORS: u64 = 1_500;
/// How long who floods with descriptors is left to tidy up itself.
const FLOODS_LAST: Duration = Duration::from_secs(1);
/// How long nobody reads the answers to a flood.
const DEAF: Duration = Duration::from_secs(1);

/// What becomes of the frame that met the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    PassOn,
    Lose,
}

/// Commits the fault; many never return.
pub(crate) fn commit(adversary: &Adversary, call: &Call, order: Order, path: &Path) -> Then {
    if matches!(order.fault, Fault::Kill | Fault::Stop | Fault::Stuck) {
        signal(adversary, Signal::SIGSTOP);
    }
    if let Err(error) = Order::fired(path) {
        eprintln!("the campaign does not learn of `{}`: {error}", path.display());
    }
    match order.fault {
        Fault::Kill | Fault::Stop => wait_for_signal(),
        Fault::Abort => {
            signal(adversary, Signal::SIGABRT);
            std::process::abort()
        }
        Fault::Garbage => sent(&call.channel.outer, &noise(order.seed), &[]),
        Fault::Lie => lie(call, order.seed),
        Fault::Deadline => upcall_from_beyond(adversary),
        Fault::Twice => twice(call),
        Fault::Other => other(call, order.seed),
        Fault::Upcalls => flood(adversary, order.seed),
        Fault::Descriptors => flood_descriptors(adversary, call, order.seed),
        Fault::Closed => {
            let _ = shutdown(call.channel.outer.as_raw_fd(), Shutdown::Both); // closed is closed
            Then::Lose
        }
        Fault::Memory => {
            memory::exhaust();
            Then::PassOn
        }
        Fault::Never => Then::Lose,
        Fault::Stuck => {
            let released = std::fs::File::open(adversary.orders.join(STUCK).join("nothing"));
            eprintln!("released: {:?}", released.err());
            signal(adversary, Signal::SIGCONT);
            Then::PassOn
        }
    }
}

/// An answer to one of our own upcalls has come.
pub(crate) fn heard(adversary: &Adversary) {
    while adversary.deaf.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(adversary: &Adversary, signal: Signal) {
    // A driver that has ended already is noticed by the main thread.
    let _ = kill(adversary.driver, signal);
}

fn wait_for_signal() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn sent(socket: &OwnedFd, frame: &[u8], descriptors: &[OwnedFd]) -> Then {
    if let Err(error) = send(socket.as_fd(), frame, descriptors) {
        eprintln!("hulld does not take a frame of {} bytes: {error}", frame.len());
    }
    Then::PassOn
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        // xorshift: noise that can be had again
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next).take(1 + usize::try_from(seed % 300).unwrap_or(0)).flat_map(u64::to_le_bytes).collect()
}

fn lie(call: &Call, seed: u64) -> Then {
    let outer = &call.channel.outer;
    match seed % 4 {
        0 => sent(outer, &frame::failed_endlessly(call.id), &[]),
        1 => sent(outer, &vec![0; MAX_FRAME + 4096], &[]),
        2 => sent(outer, &frame::failed(call.id, "with descriptors"), &spares(3)),
        _ => sent(outer, &frame::failed(call.id, "with many descriptors"), &spares(MAX_DESCRIPTORS + 4)),
    }
}

fn spares(count: usize) -> Vec<OwnedFd> {
    (0..count).filter_map(|_| io::pipe().ok()).map(|(reader, _)| reader.into()).collect()
}

fn upcall_from_beyond(adversary: &Adversary) -> Then {
    let Some(fetch) = upcall_number("fetch") else { return Then::PassOn };
    for (id, deadline) in (OWN_IDS..).zip([u64::MAX, u64::MAX >> 1, 1 << 60, 0]) {
        sent(&adversary.host.outer, &frame::upcall(id, deadline, fetch, "beyond"), &[]);
    }
    Then::PassOn
}

fn twice(call: &Call) -> Then {
    match call.answer {
        Some((answer, descriptors)) => sent(&call.channel.outer, answer, descriptors),
        None => {
            let failure = frame::failed(call.id, "answered before it was done");
            sent(&call.channel.outer, &failure, &[]);
            sent(&call.channel.outer, &failure, &[])
        }
    }
}

fn other(call: &Call, seed: u64) -> Then {
    let outer = &call.channel.outer;
    if seed.is_multiple_of(2) {
        let stranger = call.id + 1_000_000;
        match call.answer.and_then(|(answer, descriptors)| Some((frame::answer(answer)?.2, descriptors))) {
            Some((rest, descriptors)) => sent(outer, &frame::answer_with(stranger, rest), descriptors),
            None => sent(outer, &frame::failed(stranger, "for somebody else"), &[]),
        };
    } else {
        // A method without a result of its own, whichever was asked.
        let silent = if call.method == 1 { 4 } else { 1 };
        sent(outer, &frame::answer_of(call.id, silent), &[]);
    }
    Then::Lose
}

fn flood(adversary: &Adversary, seed: u64) -> Then {
    let Some(fetch) = upcall_number("fetch") else { return Then::PassOn };
    adversary.deaf.store(seed.is_multiple_of(2), Ordering::Relaxed);
    let (host, deaf) = (adversary.host.clone(), seed.is_multiple_of(2));
    let flooding = std::thread::spawn(move || {
        for number in 0..FLOOD {
            let frame = frame::upcall(OWN_IDS + number, 10_000_000, fetch, &format!("flood-{number}"));
            if send(host.outer.as_fd(), &frame, &[]).is_err() {
                return;
            }
        }
    });
    if deaf {
        std::thread::sleep(DEAF);
        adversary.deaf.store(false, Ordering::Relaxed);
    }
    let _ = flooding.join(); // it does not panic
    Then::PassOn
}

fn flood_descriptors(adversary: &Adversary, call: &Call, seed: u64) -> Then {
    if seed.is_multiple_of(2) {
        for _ in 0..100 {
            sent(&call.channel.outer, &frame::failed(call.id, "take these"), &spares(MAX_DESCRIPTORS));
        }
        return Then::PassOn;
    }
    let (Some(store), Some(discard)) = (upcall_number("store"), upcall_number("discard")) else {
        return Then::PassOn;
    };
    let marker = marker(adversary);
    let _ = std::fs::write(&marker, b""); // without it the campaign finds what is left
    for number in 0..DESCRIPTORS {
        sent(&adversary.host.outer, &frame::store(OWN_IDS + number, store, &kept(number)), &spares(1));
    }
    discard_all(adversary, discard);
    Then::PassOn
}

/// A process that had so much kept may have been ended before hulld had read that it gives it back, and that long after its
/// successor's start: while it drained. Never returns.
pub(crate) fn clean_up(adversary: &Adversary) {
    loop {
        let begun = std::fs::metadata(marker(adversary)).and_then(|metadata| metadata.modified());
        let age = begun.ok().and_then(|begun| begun.elapsed().ok());
        if let (true, Some(discard)) = (age.is_some_and(|age| age > FLOODS_LAST), upcall_number("discard")) {
            discard_all(adversary, discard);
            let _ = std::fs::remove_file(marker(adversary)); // doing it once more does no harm
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What was kept is given back: the campaign looks for what is left by nobody's wish.
fn discard_all(adversary: &Adversary, discard: u32) {
    for number in 0..DESCRIPTORS {
        sent(&adversary.host.outer, &frame::upcall(OWN_IDS + number, 10_000_000, discard, &kept(number)), &[]);
    }
}

fn marker(adversary: &Adversary) -> std::path::PathBuf {
    adversary.orders.join(&adversary.name).join("flooded")
}

fn kept(number: u64) -> String {
    format!("flood-{number}")
}

fn upcall_number(name: &str) -> Option<u32> {
    hull_plugin::upcalls().iter().position(|known| known == name).and_then(|number| u32::try_from(number).ok())
}
