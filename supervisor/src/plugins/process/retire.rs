//! The end of a process that was replaced, or that nobody needs: it finishes the calls that were sent to it, then it goes.
//!
//! Its calls are never cut by that. If it dies or hangs before it is through, they are repeated with its successor,
//! as after any crash; that does not count against the successor.

use std::sync::Arc;
use std::time::Duration;

use hull_plugin::{RequestId, context};
use tokio_util::sync::CancellationToken;

use super::call::longest;
use super::handle::Spec;
use super::owner::{Owner, Running};
use super::sane::sane;
use super::session::Session;
use crate::plugins::sandbox::{self, Slot};

/// All that is left to do after the last call has been answered.
const DRAINING: Duration = Duration::from_secs(10);
const DYING: Duration = Duration::from_secs(2);
/// So many replaced processes of one plugin may still have calls.
pub(super) const MOST: usize = 4;

/// A process that was replaced, or rests.
pub(super) struct Retiring {
    slot: Slot,
    generation: u64,
    session: Arc<Session>,
    gone: CancellationToken,
}

impl Owner {
    /// Lets a process finish that was replaced or rests, beside everything else.
    pub(super) fn retire(&mut self, running: Running) {
        let Some(session) = running.session.clone() else { return };
        self.retiring.retain(|retiring| !retiring.gone.is_cancelled());
        self.retiring.push(Retiring {
            slot: running.slot,
            generation: running.generation,
            session: session.clone(),
            gone: running.gone.clone(),
        });
        let facts = self.facts.clone();
        facts.send_modify(|facts| facts.draining += 1);
        let (spec, stop) = (self.spec.clone(), self.spec.environment.stop.clone());
        self.spec.environment.tasks.spawn(async move {
            finish(&spec, running, &session, &stop).await;
            facts.send_modify(|facts| facts.draining -= 1);
        });
    }

    /// A replaced process does not work any more; harmless if it is none.
    pub(super) fn condemn(&self, generation: u64, why: &str) {
        if let Some(retiring) = self.retiring.iter().find(|retiring| retiring.generation == generation) {
            tracing::warn!(plugin = %self.spec.name, pid = retiring.session.pid, why, "a retired process does not finish its calls");
            retiring.session.condemned.cancel();
        }
    }

    /// How many such processes still live.
    pub(super) fn retiring(&self) -> usize {
        self.retiring.iter().filter(|retiring| !retiring.gone.is_cancelled()).count()
    }

    /// The first one that no living process has.
    pub(super) fn free_slot(&self) -> Slot {
        sandbox::free_slot(&self.taken_slots())
    }

    /// Removes control groups in which something outlived its process for a while.
    pub(super) fn tidy_groups(&self) {
        sandbox::tidy_groups(&self.spec, &self.taken_slots(), MOST + 1);
    }

    pub(super) fn taken_slots(&self) -> Vec<Slot> {
        let living =
            self.retiring.iter().filter(|retiring| !retiring.gone.is_cancelled()).map(|retiring| retiring.slot);
        let mut taken: Vec<Slot> = living.collect();
        taken.extend(self.running.as_ref().map(|running| running.slot));
        taken.extend(self.upgrade.as_ref().map(|upgrade| upgrade.running.slot));
        taken
    }
}

async fn finish(spec: &Spec, running: Running, session: &Session, stop: &CancellationToken) {
    let work = async {
        session.calls.ended().await;
        let drained = sane(session.lifecycle.drain(context(RequestId(0), DRAINING.min(longest())))).await;
        if !matches!(drained, Ok(Ok(()))) {
            tracing::warn!(plugin = %spec.name, pid = session.pid, ?drained, "a retired process did not say that it has finished");
        }
    };
    let ended_by_itself = tokio::select! {
        () = work => false,
        () = session.condemned.cancelled() => false,
        () = stop.cancelled() => false,
        () = running.child.exited() => true,
    };
    running.child.kill();
    let dead = tokio::time::timeout(DYING, running.child.exited()).await;
    if ended_by_itself {
        let how = running.account(None).await;
        tracing::warn!(plugin = %spec.name, how, "a retired process ended before it had finished");
    } else if dead.is_err() {
        let stack = running.child.kernel_stack();
        tracing::warn!(plugin = %spec.name, pid = session.pid, stack, "a retired process does not die of SIGKILL and was abandoned");
    } else {
        running.child.status(); // reaps it
        tracing::info!(plugin = %spec.name, pid = session.pid, "retired process ended");
    }
    sandbox::forget_plugin(spec, running.slot).await;
    running.gone.cancel();
}
