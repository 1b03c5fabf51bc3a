//! Running a plan, undoing it, and taking it up again after a crash.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hull_plugin::OperationId;
use rusqlite::Transaction;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::crash::reach;
use super::left::{Leftover, settle, settle_about};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::state::Entry;

/// Between two attempts to bring a failed plan to its end.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What becomes of a plan that a crash of hulld has cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterCrash {
    Undo,
    Finish,
}

/// A plan is its input and what its steps found out, and serialises so that a later process can take it up.
pub(crate) trait Plan: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// How the journal calls it.
    const KIND: &'static str;
    const STEPS: &'static [&'static str];
    const AFTER_CRASH: AfterCrash;

    /// Where it makes or deletes something: nobody collects there while it runs.
    fn sites(&self) -> Vec<Site>;

    /// The URLs of what it makes, changes or deletes: while it is left open, nothing newer is done to them. None for
    /// instances, which are kept from everybody else meanwhile.
    fn objects(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes step `name` true.
    fn run(
        &mut self,
        name: &str,
        hull: &Hull,
        operation: &OperationId,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Makes step `name` untrue; `Ok` if it never was true.
    fn undo(
        &mut self,
        name: &str,
        hull: &Hull,
        operation: &OperationId,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// What is written when all steps are true, in the transaction that ends the plan.
    fn commit(&self, transaction: &Transaction) -> rusqlite::Result<()>;

    /// What changes in memory once that is durable.
    fn published(self, hull: &Hull);
}

/// What an undo could not take back. Empty: nothing is left.
#[derive(Debug, Default)]
pub(crate) struct Undone {
    pub(crate) failures: Vec<(&'static str, ApiError)>,
}

/// Runs `plan` to its end, or undoes it and returns the first error.
pub(crate) async fn execute<P: Plan>(mut plan: P, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
    settle_about(hull, &plan.objects()).await?;
    let _inside = hull.gates.enter(plan.sites()).await;
    let entry = entry(&plan, operation)?;
    hull.journal.begin(entry.clone()).await?;
    reach::<P>("journalled");
    let mut reached = 0;
    match run_steps(&mut plan, hull, operation, &mut reached).await {
        Ok(()) => match finish(plan.clone(), hull, operation).await {
            Ok(()) => Ok(()),
            // Nothing is acknowledged that is not written down.
            Err(error) if P::AFTER_CRASH == AfterCrash::Undo => {
                Err(undo(plan, hull, operation, P::STEPS.len(), error).await)
            }
            Err(error) => {
                // What is deleted is deleted, even when a full disk takes no word of it.
                settle_later(hull.leftovers.add(entry, plan.objects()), hull);
                Err(error.context("done, but not yet written down, which is tried again"))
            }
        },
        Err(error) if P::AFTER_CRASH == AfterCrash::Finish => {
            // What was not reached stays as it was; each step has taken the record of what it deleted along, and the
            // rest can be deleted again. The journal keeps no memory of a plan whose caller was told that it failed:
            // who goes on using the object must not lose it at the next start.
            hull.journal.forget(operation.as_str()).await;
            Err(error)
        }
        Err(error) => Err(undo(plan, hull, operation, reached, error).await),
    }
}

/// Takes back the steps of a failed plan that were reached; what cannot be taken back now is tried again.
async fn undo<P: Plan>(mut plan: P, hull: &Hull, operation: &OperationId, reached: usize, why: ApiError) -> ApiError {
    let undone = undo_steps(&mut plan, hull, operation, reached).await;
    if undone.failures.is_empty() {
        hull.journal.forget(operation.as_str()).await;
    } else if let Ok(entry) = entry(&plan, operation) {
        settle_later(hull.leftovers.add(entry, plan.objects()), hull);
    }
    undone.told_with(why)
}

/// Goes on until the plan is undone, or finished and written down: a pool comes back, a full disk has room again.
fn settle_later(left: Arc<Leftover>, hull: &Hull) {
    let (hull_for_task, mut guards) = (hull.clone(), crate::instances::guard(&left.entry, hull));
    hull.tasks.spawn(async move {
        let hull = hull_for_task;
        guards.hold().await;
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let Err(error) = settle(&hull, &left).await else { break };
            let Entry { kind, operation, .. } = &left.entry;
            tracing::warn!(kind, operation, %error, "cannot bring a failed plan to its end; it is tried again");
            guards.because(&error);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    });
}

/// Takes up what the journal holds for this kind of plan; `true` if the entry was of this kind.
pub(crate) async fn resume<P: Plan>(entry: &Entry, hull: &Hull) -> Result<bool, ApiError> {
    if entry.kind != P::KIND {
        return Ok(false);
    }
    let mut plan: P = serde_json::from_str(&entry.plan).map_err(|error| {
        ApiError::internal(format!("cannot read the journalled plan `{}`: {error}", entry.operation))
    })?;
    let operation = OperationId::new(entry.operation.clone()).map_err(|error| ApiError::internal(error.to_string()))?;
    let _inside = hull.gates.enter(plan.sites()).await;
    tracing::info!(kind = P::KIND, operation = %operation, "taking up a plan that was cut or failed");
    match P::AFTER_CRASH {
        AfterCrash::Finish => {
            run_steps(&mut plan, hull, &operation, &mut 0).await?;
            finish(plan, hull, &operation).await?;
        }
        AfterCrash::Undo => {
            let undone = undo_steps(&mut plan, hull, &operation, P::STEPS.len()).await;
            if let Some((_, error)) = undone.failures.into_iter().next() {
                return Err(error);
            }
            hull.journal.end(operation.as_str(), |_| Ok(())).await?;
        }
    }
    Ok(true)
}

/// `reached` becomes how many steps were begun.
async fn run_steps<P: Plan>(
    plan: &mut P,
    hull: &Hull,
    operation: &OperationId,
    reached: &mut usize,
) -> Result<(), ApiError> {
    for step in P::STEPS {
        *reached += 1;
        tracing::debug!(plan = P::KIND, step, operation = %operation, "step");
        plan.run(step, hull, operation).await?;
        reach::<P>(step);
    }
    Ok(())
}

/// Never stops at a failure: half a clean-up must be visible, not halved again.
async fn undo_steps<P: Plan>(plan: &mut P, hull: &Hull, operation: &OperationId, reached: usize) -> Undone {
    let mut undone = Undone::default();
    for step in P::STEPS.iter().take(reached).rev() {
        if let Err(error) = plan.undo(step, hull, operation).await {
            tracing::warn!(plan = P::KIND, step, operation = %operation, %error, "cannot undo a step");
            undone.failures.push((step, error));
        }
        reach::<P>(&format!("undo/{step}"));
    }
    undone
}

async fn finish<P: Plan>(plan: P, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
    let committed = plan.clone();
    hull.journal.end(operation.as_str(), move |tx| committed.commit(tx)).await?;
    reach::<P>("written");
    plan.published(hull);
    Ok(())
}

/// What a journalled plan is about, if it is of this kind.
pub(crate) fn objects_of<P: Plan>(entry: &Entry) -> Vec<String> {
    let plan = (entry.kind == P::KIND).then(|| serde_json::from_str::<P>(&entry.plan).ok()).flatten();
    plan.map(|plan| plan.objects()).unwrap_or_default()
}

fn entry<P: Plan>(plan: &P, operation: &OperationId) -> Result<Entry, ApiError> {
    let plan = serde_json::to_string(plan).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Entry { operation: operation.to_string(), kind: P::KIND.to_owned(), plan })
}

impl Undone {
    fn told_with(self, mut error: ApiError) -> ApiError {
        for (step, failure) in self.failures {
            error.message.push_str(&format!("; and cannot undo the step \"{step}\": {failure}"));
        }
        error
    }
}
