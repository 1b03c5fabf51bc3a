//! A task that wakes itself while it runs is polled once more at once, instead of going back to the scheduler.
//!
//! tarpc's dispatch does so twice in each call, when it sets a deadline and when it removes it. For tokio that is a task
//! that yields, and it wakes a second worker to take it. Without that a call takes a third fewer context switches; how long
//! it takes is decided by the kernel's own two wakes and hardly changes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// So often in a row; one that goes on waking itself takes turns with others after all.
const AGAIN: usize = 4;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const WOKEN: u8 = 2;

/// `task`, which wakes nobody while it runs.
pub(super) async fn steady<F: Future>(task: F) -> F::Output {
    let mut task = std::pin::pin!(task);
    let inner = Arc::new(Inner { state: AtomicU8::new(IDLE), outer: AtomicWaker::new() });
    let waker = Waker::from(inner.clone());
    std::future::poll_fn(move |outer| inner.run(task.as_mut(), &waker, outer)).await
}

struct Inner {
    state: AtomicU8,
    outer: AtomicWaker,
}

impl Inner {
    fn run<F: Future>(&self, mut task: Pin<&mut F>, waker: &Waker, outer: &Context<'_>) -> Poll<F::Output> {
        self.outer.register(outer.waker());
        for _ in 0..AGAIN {
            self.state.store(RUNNING, Ordering::SeqCst);
            if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return Poll::Pending;
            }
        }
        self.state.store(IDLE, Ordering::SeqCst);
        outer.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let state = self.state.compare_exchange(RUNNING, WOKEN, Ordering::SeqCst, Ordering::SeqCst);
        if state == Err(IDLE) {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often it is woken from outside.
    #[derive(Default)]
    struct Outside(AtomicUsize);

    impl Wake for Outside {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn its_own_waking_stays_inside_and_that_of_others_does_not() {
        let (outside, polls) = (Arc::new(Outside::default()), AtomicUsize::new(0));
        let kept = std::sync::Mutex::new(None);
        let mut task = std::pin::pin!(steady(std::future::poll_fn(|cx| {
            if polls.fetch_add(1, Ordering::SeqCst) == 0 {
                cx.waker().wake_by_ref();
            }
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));
        let waker = Waker::from(outside.clone());
        assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!((polls.load(Ordering::SeqCst), outside.0.load(Ordering::SeqCst)), (2, 0));
        kept.lock().unwrap().take().unwrap().wake();
        assert_eq!(outside.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn one_that_never_rests_takes_turns() {
        let (outside, polls) = (Arc::new(Outside::default()), AtomicUsize::new(0));
        let mut task = std::pin::pin!(steady(std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        assert!(task.as_mut().poll(&mut Context::from_waker(&Waker::from(outside.clone()))).is_pending());
        assert_eq!((polls.load(Ordering::SeqCst), outside.0.load(Ordering::SeqCst)), (AGAIN, 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_waking_is_lost() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let counted = tokio::spawn(steady(async move {
            let mut sum = 0_u64;
            while let Some(number) = receiver.recv().await {
                sum += number;
            }
            sum
        }));
        for number in 0..20_000 {
            sender.send(number).await.unwrap();
        }
        drop(sender);
        assert_eq!(counted.await.unwrap(), 19_999 * 20_000 / 2);
    }
}
