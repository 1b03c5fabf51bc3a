//! How many calls of one process run at a time, and how many wait: first come, first served, in three lanes.
//!
//! ```text
//! call ─▶ room in its lane ─────────────────▶ runs ─▶ the next in the lane runs
//!            │ none          ▲ its turn
//!            ├─▶ waits ──────┘
//!            └─▶ refused at once: as many wait as may
//! ```
//! Questions and what ends things have a lane of their own, and so has what waits for a client's bytes, so that no storm of
//! one sort starves the others. A caller that stops waiting loses its place and nothing else. The bounds are what the
//! driver's description says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_plugin::{Code, Description, DriverError};
use tokio::sync::oneshot;

use super::call::{Deadline, Method};

/// What has so short a deadline is a question.
const QUESTION: std::time::Duration = std::time::Duration::from_secs(5);
/// Methods that give something back: they must not wait behind those that take.
const RELIEVING: [&str; 3] = ["kill", "cleanup", "detach_nic"];
/// Methods that last as long as a client takes to send.
const RECEIVING: [&str; 1] = ["receive"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Answered from memory or by a cheap system call, or it gives something back.
    Quick,
    /// It changes something, and may take its time.
    Change,
    /// It waits for a client most of the time.
    Upload,
}

impl Lane {
    pub(super) fn of(method: Method<'_>) -> Self {
        if RECEIVING.contains(&method.name) {
            return Self::Upload;
        }
        let short = matches!(method.deadline, Deadline::Within(limit) if limit <= QUESTION);
        if short || RELIEVING.contains(&method.name) { Self::Quick } else { Self::Change }
    }
}

/// All lanes of one process, whichever incarnation of it runs.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Mutex<Lanes>>);

struct Lanes {
    bounds: Bounds,
    quick: Traffic,
    change: Traffic,
    upload: Traffic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) concurrency: usize,
    pub(crate) queue: usize,
}

#[derive(Default)]
struct Traffic {
    running: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to run one call, until it is dropped.
pub(super) struct Turn {
    queue: Queue,
    lane: Lane,
}

impl From<&Description> for Bounds {
    /// A driver that says 0 has not thought about it; it must be possible to call it.
    fn from(description: &Description) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self { concurrency: size(description.concurrency).max(1), queue: size(description.queue) }
    }
}

impl Default for Queue {
    fn default() -> Self {
        let bounds = Bounds::from(&Description::default());
        Self(Arc::new(Mutex::new(Lanes {
            bounds,
            quick: Traffic::default(),
            change: Traffic::default(),
            upload: Traffic::default(),
        })))
    }
}

impl Queue {
    /// What the driver says of itself.
    pub(super) fn set_bounds(&self, bounds: Bounds) {
        self.lock().bounds = bounds;
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// `Overloaded`: as many wait as may.
    pub(super) async fn enter(&self, lane: Lane) -> Result<Turn, DriverError> {
        let turn = {
            let mut lanes = self.lock();
            let bounds = lanes.bounds;
            let traffic = lanes.lane(lane);
            if traffic.running < bounds.concurrency && traffic.waiting.is_empty() {
                traffic.running += 1;
                return Ok(Turn { queue: self.clone(), lane });
            }
            if traffic.waiting.len() >= bounds.queue {
                traffic.waiting.retain(|waiting| !waiting.is_closed());
            }
            if traffic.waiting.len() >= bounds.queue {
                return Err(full(bounds));
            }
            let (sender, turn) = oneshot::channel();
            traffic.waiting.push_back(sender);
            turn
        };
        turn.await.map_err(|_| DriverError::internal("a waiting call has lost its place"))
    }

    /// How many calls run and wait, all lanes together.
    pub(crate) fn load(&self) -> (usize, usize) {
        let lanes = self.lock();
        let all = [&lanes.quick, &lanes.change, &lanes.upload];
        let waiting = |traffic: &Traffic| traffic.waiting.iter().filter(|waiting| !waiting.is_closed()).count();
        (all.iter().map(|traffic| traffic.running).sum(), all.iter().map(|traffic| waiting(traffic)).sum())
    }

    /// Who waits in the lane and may run now. Called without the lock: a turn that nobody takes comes back here.
    fn next(&self, lane: Lane) -> Option<(oneshot::Sender<Turn>, Turn)> {
        let mut lanes = self.lock();
        let concurrency = lanes.bounds.concurrency;
        let traffic = lanes.lane(lane);
        if traffic.running >= concurrency {
            return None;
        }
        while let Some(waiting) = traffic.waiting.pop_front() {
            if !waiting.is_closed() {
                traffic.running += 1;
                return Some((waiting, Turn { queue: self.clone(), lane }));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn lane(&mut self, lane: Lane) -> &mut Traffic {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Change => &mut self.change,
            Lane::Upload => &mut self.upload,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.lock().lane(self.lane).running -= 1;
        if let Some((waiting, turn)) = self.queue.next(self.lane) {
            // One that has left in this moment: its turn is dropped here, and passes on to the next.
            drop(waiting.send(turn));
        }
    }
}

fn full(bounds: Bounds) -> DriverError {
    let Bounds { concurrency, queue } = bounds;
    DriverError::new(Code::Overloaded, format!("{concurrency} calls run and {queue} wait already"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn queue(concurrency: usize, queue: usize) -> Queue {
        let new = Queue::default();
        new.set_bounds(Bounds { concurrency, queue });
        new
    }

    #[tokio::test]
    async fn what_is_over_the_bound_waits_and_what_is_over_the_queue_is_refused() {
        let queue = queue(2, 1);
        let first = queue.enter(Lane::Change).await.unwrap();
        let _second = queue.enter(Lane::Change).await.unwrap();
        let third = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(Lane::Change).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert_eq!(queue.load(), (2, 1));
        let Err(error) = queue.enter(Lane::Change).await else { panic!("a fourth") };
        assert_eq!(error.code, Code::Overloaded);
        drop(first);
        third.await.unwrap().unwrap();
        assert_eq!(queue.load(), (1, 0));
    }

    #[tokio::test]
    async fn the_lanes_do_not_wait_for_each_other() {
        let queue = queue(1, 0);
        let _change = queue.enter(Lane::Change).await.unwrap();
        let quick = tokio::time::timeout(Duration::from_secs(1), queue.enter(Lane::Quick)).await;
        assert!(quick.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_leaves_gives_its_place_up() {
        let queue = queue(1, 1);
        let running = queue.enter(Lane::Quick).await.unwrap();
        let left = tokio::time::timeout(Duration::from_millis(5), queue.enter(Lane::Quick)).await;
        assert!(left.is_err());
        let next = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(Lane::Quick).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(running);
        next.await.unwrap().unwrap();
        assert_eq!(queue.load(), (0, 0));
    }

    #[tokio::test]
    async fn turns_come_in_order_and_never_more_at_once_than_allowed() {
        let queue = queue(3, 1000);
        let (order, running) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let tasks: Vec<_> = (0..500)
            .map(|number| {
                let (queue, order, running) = (queue.clone(), order.clone(), running.clone());
                tokio::spawn(async move {
                    let _turn = queue.enter(Lane::Change).await.unwrap();
                    order.lock().unwrap().push(number);
                    *running.lock().unwrap() += 1;
                    assert!(*running.lock().unwrap() <= 3);
                    tokio::task::yield_now().await;
                    *running.lock().unwrap() -= 1;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn ending_something_never_waits_behind_starting() {
        let method = |name, seconds| Method { name, deadline: Deadline::seconds(seconds), object: None };
        assert_eq!(Lane::of(method("kill", 30)), Lane::Quick);
        assert_eq!(Lane::of(method("state", 5)), Lane::Quick);
        assert_eq!(Lane::of(method("start", 30)), Lane::Change);
        assert_eq!(Lane::of(Method { name: "receive", deadline: Deadline::WhileAlive, object: None }), Lane::Upload);
        assert_eq!(
            Lane::of(Method { name: "create_volume", deadline: Deadline::WhileAlive, object: None }),
            Lane::Change
        );
    }
}
