//! `hull-init`: the container driver's helper. It enters and makes namespaces, which only a single-threaded process can.
//!
//! Started once by the driver with a socket as its standard input, it waits there for [`Order`]s and forks a child for
//! each; that costs a tenth of starting a program. A child never returns to the loop: it becomes the ordered program, or
//! watches it, or answers and ends. Children outlive the driver; the loop does not.
//! Start with [`serve`]; `cell.rs` and `boot.rs` start containers, `attach.rs` runs commands in them.

mod attach;
mod boot;
mod cell;
mod confine;
mod failure;
mod file;
mod lock;
mod mount;
mod path;
mod root;

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use hull_sys::fork::{self, Forked};
use instance_container::order::{self, Order, Report};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::CloneFlags;

use crate::failure::{Doing, Outcome};

fn main() -> ExitCode {
    let Ok(orders) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    if hull_sys::descriptor::kind(&orders) != Ok(hull_sys::descriptor::Kind::Socket) {
        eprintln!("hull-init: started by hand; it is the container driver's helper");
        return ExitCode::from(64); // EX_USAGE
    }
    if blocking(&orders).is_err()
        || std::fs::File::open("/dev/null").is_ok_and(|null| fork::duplicate_onto(null.as_fd(), 0).is_err())
    {
        return ExitCode::FAILURE;
    }
    fork::discard_children(true);
    serve(orders)
}

/// Forks a child for each order until the driver is gone.
fn serve(orders: OwnedFd) -> ExitCode {
    loop {
        match order::receive::<Order>(orders.as_fd()) {
            Ok(None) => return ExitCode::SUCCESS,
            Ok(Some((order, descriptors))) => match fork::fork_into(CloneFlags::empty(), None) {
                Ok(Forked::Child) => child(orders, order, descriptors),
                Ok(Forked::Parent(..)) => {}
                // The driver sees its reply socket close without an answer.
                Err(error) => eprintln!("hull-init: cannot fork: {error}"),
            },
            Err(error) => {
                eprintln!("hull-init: bad order: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}

/// `orders` is for the loop alone: whoever else held it could be made to give orders, and would hide the loop's end from the
/// driver.
fn child(orders: OwnedFd, order: Order, mut descriptors: Vec<OwnedFd>) -> ! {
    drop(orders);
    fork::discard_children(false);
    if descriptors.is_empty() {
        fork::exit_now(1);
    }
    let reply = descriptors.remove(0);
    let outcome = blocking(&reply).and_then(|()| match order {
        Order::Cell => cell::run(&reply),
        Order::Exec(exec) => attach::run(&reply, &exec, descriptors),
        Order::File { place, path, work } => file::run(&reply, place, &path, work, descriptors),
        Order::Mount(point) => mount::attach(&reply, &point, descriptors),
        Order::Unmount { path } => mount::detach(&reply, &path, descriptors),
        Order::Lock(access) => lock::run(&reply, access, descriptors),
    });
    if let Err(failure) = outcome {
        let _ = order::send(reply.as_fd(), &Report::Failed(failure), &[]); // the driver may be gone
        fork::exit_now(1);
    }
    fork::exit_now(0)
}

fn blocking(socket: &OwnedFd) -> Outcome {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL).doing(|| "read a socket's flags".into())?);
    fcntl(socket, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).doing(|| "set a socket's flags".into())?;
    Ok(())
}
