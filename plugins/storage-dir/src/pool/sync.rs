//! Making what was written durable: one flush of the file system for all who wait for one.
//!
//! ```text
//! a ─ written ─┐                      ┌─▶ a
//! b ─ written ─┴─ waits ─▶ syncfs ────┴─▶ b      c, written while it runs, waits for the next
//! ```

use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};

use nix::errno::Errno;
use nix::unistd::syncfs;

#[derive(Default)]
pub(super) struct Sync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Flushes begun, and the last one that has ended.
    begun: u64,
    ended: u64,
    running: bool,
    /// The last flush that failed. Whoever waited for it, or for an earlier one, cannot know that its data is safe.
    failed: Option<(u64, Errno)>,
}

impl Sync {
    /// Returns when all that the caller has written to the file system of `root` is on the disk. Blocks.
    pub(super) fn wait(&self, root: &OwnedFd) -> nix::Result<()> {
        self.wait_with(|| syncfs(root))
    }

    fn wait_with(&self, flush: impl Fn() -> nix::Result<()>) -> nix::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that runs already may have passed what the caller wrote.
        let mine = state.begun + 1;
        while state.ended < mine {
            if state.running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            state.begun += 1;
            let number = state.begun;
            drop(state);
            let flushed = flush();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.running = false;
            state.ended = number;
            if let Err(error) = flushed {
                state.failed = Some((number, error));
            }
            self.ended.notify_all();
        }
        match state.failed {
            Some((number, error)) if number >= mine => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn many_share_a_flush_that_began_after_their_writes() {
        let (sync, flushes, written) = (Sync::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let seen = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                    let flush = || {
                        flushes.fetch_add(1, Ordering::SeqCst);
                        let now = written.load(Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(20));
                        *seen.lock().unwrap() = now;
                        Ok(())
                    };
                    sync.wait_with(flush).unwrap();
                    assert!(*seen.lock().unwrap() >= mine, "told before its write was flushed");
                });
            }
        });
        assert!(flushes.load(Ordering::SeqCst) < 32, "{flushes:?} flushes");
    }

    #[test]
    fn a_failed_flush_is_told_to_who_waited_for_it_and_to_nobody_later() {
        let sync = Sync::default();
        assert_eq!(sync.wait_with(|| Err(Errno::EIO)), Err(Errno::EIO));
        assert_eq!(sync.wait_with(|| Ok(())), Ok(()));
    }
}
