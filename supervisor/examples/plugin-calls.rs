//! How long a call to a plugin takes and how long a plugin takes to start: one sample a line, `MEASURE NANOSECONDS`.
//!
//! hulld's own way of calling, a real process in its real sandbox, no API around it. `cargo xtask bench` reads this.
#![allow(clippy::print_stdout)] // its output is its purpose

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hull_plugin::OperationId;
use hulld::cgroups::Cgroups;
use hulld::keeper::KeeperClient;
use hulld::plugins::{NoHandles, Plugins, REST_AFTER, Settings, StorageHandle};

type Failure = Box<dyn Error + Send + Sync>;

const CALLS: usize = 5000;
const STARTS: usize = 20;
/// Calls before the first one that counts.
const WARM_UP: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    hulld::logging::init();
    let place = tempfile::tempdir()?;
    let examples = std::env::current_exe()?.parent().map(Path::to_owned).ok_or("this program is nowhere")?;
    let programs = place.path().join("programs");
    std::fs::create_dir(&programs)?;
    for (from, name) in [(examples.join("../hulld"), "hulld"), (examples.join("storage-probe"), "storage-probe")] {
        std::fs::copy(&from, programs.join(name)).map_err(|error| format!("`{}`: {error}", from.display()))?;
    }
    let (socket, _thread) = hulld::keeper::in_thread()?;
    let keeper = KeeperClient::connect(socket)?;
    let hull_dir = place.path().join("hull");
    std::fs::create_dir(&hull_dir)?;
    let cgroups = Cgroups::open(&hull_dir)?;
    let executable = programs.join("hulld");
    let (handles, rest_after) = (Arc::new(NoHandles), REST_AFTER);
    let settings = Settings { hull_dir, executable, keeper, cgroups: cgroups.clone(), handles, rest_after };
    let plugins = Plugins::start(settings).await?;
    bare()?;
    // As a request's task calls: on a worker of the runtime, not on the thread that has started it.
    let measured = tokio::spawn(measure(plugins.clone(), place.path().to_owned())).await;
    plugins.shutdown().await;
    cgroups.all().kill_all(Duration::from_secs(5)).await?;
    cgroups.all().remove().await?;
    measured?
}

async fn measure(plugins: Plugins, place: PathBuf) -> Result<(), Failure> {
    for number in 0..STARTS {
        let pool = pool(&plugins, &place, &format!("start{number}"))?;
        let begun = Instant::now();
        pool.pool_usage().await?;
        println!("start {}", begun.elapsed().as_nanos());
    }
    let pool = pool(&plugins, &place, "calls")?;
    let (op, volume) = (OperationId::random(), "order/descriptor".parse()?);
    for call in 0..WARM_UP + CALLS {
        let begun = Instant::now();
        pool.pool_usage().await?;
        let took = begun.elapsed();
        let begun = Instant::now();
        pool.mount_volume(&op, &volume).await?;
        if call >= WARM_UP {
            println!("call {}\ndescriptor {}", took.as_nanos(), begun.elapsed().as_nanos());
        }
    }
    Ok(())
}

/// What the kernel takes for two packets and two changes of thread, on whichever processors it chooses.
fn bare() -> Result<(), Failure> {
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
    use std::os::fd::AsRawFd;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let echo = std::thread::spawn(move || -> nix::Result<()> {
        let mut packet = [0; 64];
        loop {
            match recv(theirs.as_raw_fd(), &mut packet, MsgFlags::empty())? {
                0 => return Ok(()),
                length => _ = send(theirs.as_raw_fd(), &packet[..length], MsgFlags::empty())?,
            }
        }
    });
    let mut packet = [0; 64];
    for call in 0..WARM_UP + CALLS {
        let begun = Instant::now();
        send(ours.as_raw_fd(), &packet[..16], MsgFlags::empty())?;
        recv(ours.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        if call >= WARM_UP {
            println!("bare {}", begun.elapsed().as_nanos());
        }
    }
    drop(ours);
    echo.join().map_err(|_| "the echo panicked")??;
    Ok(())
}

/// A pool has a process of its own, which starts with the first call.
fn pool(plugins: &Plugins, place: &Path, name: &str) -> Result<StorageHandle, Failure> {
    let source = place.join(name);
    std::fs::create_dir(&source)?;
    Ok(plugins.storage(&name.parse()?, "probe", &source)?)
}
