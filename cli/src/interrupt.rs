//! Ctrl-C. The kernel ends a program that does not listen for it; from the first one that does, nobody is ended by it any
//! more: so from then on a watcher ends the program whenever nobody listens.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// As shells report a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Who listened so short a time ago has had the signal.
const JUST_NOW: Duration = Duration::from_millis(100);

static LISTENERS: AtomicUsize = AtomicUsize::new(0);
/// When the last one ceased to.
static CEASED: Mutex<Option<Instant>> = Mutex::new(None);
static WATCHER: Once = Once::new();

/// Ctrl-C is somebody's to act upon, as long as this lives.
pub(crate) struct Taken(());

impl Taken {
    pub(crate) fn new() -> Self {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        WATCHER.call_once(start);
        Self(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        *CEASED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Each Ctrl-C from now on, instead of the program's end.
pub(crate) struct Interrupts {
    signals: Signal,
    _taken: Taken,
}

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { _taken: Taken::new(), signals: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) {
        self.signals.recv().await;
    }
}

/// Returns when the watcher listens.
fn start() {
    let (listens, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut signals) = signal(SignalKind::interrupt()) else { return };
            let _ = listens.send(()); // whoever started this waits
            while signals.recv().await.is_some() {
                let ceased = *CEASED.lock().unwrap_or_else(PoisonError::into_inner);
                let just_now = ceased.is_some_and(|at| at.elapsed() < JUST_NOW);
                if LISTENERS.load(Ordering::SeqCst) == 0 && !just_now {
                    std::process::exit(INTERRUPTED.into());
                }
            }
        });
    });
    let _ = heard.recv(); // an error: without threads or descriptors Ctrl-C acts only where it is listened for
}
