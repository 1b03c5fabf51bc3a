//! After a start of hulld: plans that a crash has cut are taken up beside the API, and then what nobody owns is collected.
//!
//! ```text
//! cut plans ─▶ taken up ─(failed: again, later and later)─▶ settled ─▶ rubbish is collected: pools, networks, instances
//! ```
//! Until the first attempt requests about the same kind of object wait ([`Recovery::through`]); after it a newer plan first
//! settles what is left of its object ([`plans::settle_about`]), so that an undo meets nothing newer of the same name. Nothing is
//! collected while a cut plan is open: what looks like rubbish may be what that plan is about.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans::{self, Leftover};
use crate::state::{Entry, StateError};
use crate::{images, instances, networks, storage};

/// How long a request waits for the cut plans of its kind: they take milliseconds unless a driver hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts at a plan that cannot be taken up.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The nouns whose requests wait for their cut plans; instances wait one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Noun {
    Images,
    Networks,
    Storage,
}

/// How far the recovery is.
pub(crate) struct Recovery {
    /// Cut plans that were not tried yet, by noun.
    open: watch::Sender<BTreeMap<Noun, usize>>,
    settled: watch::Sender<bool>,
    collecting: Collecting,
}

/// What a collector is at work on, or will be, and whether another was wanted meanwhile.
type Collecting = Arc<Mutex<BTreeMap<String, bool>>>;

/// The turn of one collector.
pub(crate) struct Turn {
    /// `None` once it is over.
    key: Option<String>,
    collecting: Collecting,
}

impl Turn {
    /// Whether another is wanted: what fails now is done again.
    pub(crate) fn is_wanted_again(&self) -> bool {
        let collecting = self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        self.key.as_ref().and_then(|key| collecting.get(key)).is_some_and(|wanted| *wanted)
    }

    /// Another turn if one was wanted meanwhile: what this one saw may be of a process that has ended since.
    pub(crate) fn next(mut self) -> Option<Self> {
        let collecting = self.collecting.clone();
        let mut collecting = collecting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.key.take()?;
        let wanted = collecting.get_mut(&key).is_some_and(std::mem::take);
        if !wanted {
            collecting.remove(&key);
            return None;
        }
        self.key = Some(key);
        Some(self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.collecting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self { open: watch::Sender::default(), settled: watch::Sender::new(false), collecting: Arc::default() }
    }
}

impl Recovery {
    /// Waits until no cut plan of the noun is waiting to be taken up.
    pub(crate) async fn through(&self, noun: Noun) {
        let mut open = self.open.subscribe();
        let through = open.wait_for(|open| open.get(&noun).is_none_or(|count| *count == 0));
        // Past the bound the request goes on: its object may well be another one.
        drop(tokio::time::timeout(PATIENCE, through).await);
    }

    /// Waits until all cut plans are taken up: milliseconds, or as long as the pool is missing that one of them is about.
    pub(crate) async fn settled(&self) {
        // The sender lives as long as `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// The right to collect there; `None` if somebody has it already, who then looks once more.
    pub(crate) fn turn(&self, key: String) -> Option<Turn> {
        let mut collecting = self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = collecting.get_mut(&key) {
            *wanted = true;
            return None;
        }
        collecting.insert(key.clone(), false);
        Some(Turn { key: Some(key), collecting: self.collecting.clone() })
    }

    fn expect(&self, entry: &Entry, change: isize) {
        let Some(noun) = noun(entry) else { return };
        self.open.send_modify(|open| {
            let count = open.entry(noun).or_default();
            *count = count.saturating_add_signed(change);
        });
    }
}

/// A cut plan, with what it is about kept from everybody else.
struct Cut {
    left: Arc<Leftover>,
    guards: instances::Guards,
}

/// Claims what cut plans are about, then takes them up and brings everything up, beside the API.
pub(crate) async fn take_up(hull: &Hull, ended: Vec<Arc<instances::Entry>>) -> Result<(), StateError> {
    crate::plans::announce(&points());
    let cut = hull.journal.open_entries().await?;
    let claimed = |entry: Entry| {
        hull.recovery.expect(&entry, 1);
        let guards = instances::guard(&entry, hull);
        let objects = objects(&entry);
        Cut { guards, left: hull.leftovers.add(entry, objects) }
    };
    // A network that is being deleted must not be brought up meanwhile.
    let (of_networks, others): (Vec<Cut>, Vec<Cut>) =
        cut.into_iter().map(claimed).partition(|cut| noun(&cut.left.entry) == Some(Noun::Networks));
    let hull_for_task = hull.clone();
    hull.tasks.spawn(async move {
        let hull = hull_for_task;
        let mut left = first_try(&hull, of_networks).await;
        hull.tasks.spawn(networks::keep_up(hull.clone()));
        let starting = hull.clone();
        // Each waits for the cut plan that is about it, if there is one.
        hull.tasks.spawn(async move { instances::start_again(&starting, ended).await });
        left.extend(first_try(&hull, others).await);
        try_again(&hull, left).await;
        hull.recovery.settled.send_replace(true);
        collect_all(&hull).await;
    });
    Ok(())
}

/// What a cut plan is about.
fn objects(entry: &Entry) -> Vec<String> {
    [images::plan_objects, storage::plan_objects, networks::plan_objects, instances::plan_objects]
        .iter()
        .flat_map(|of_noun| of_noun(entry))
        .collect()
}

/// Every boundary of every plan there is.
fn points() -> Vec<String> {
    [instances::plan_points(), images::plan_points(), storage::plan_points(), networks::plan_points()].concat()
}

fn noun(entry: &Entry) -> Option<Noun> {
    let kinds = [
        (images::PLAN_KINDS, Some(Noun::Images)),
        (networks::PLAN_KINDS, Some(Noun::Networks)),
        (storage::PLAN_KINDS, Some(Noun::Storage)),
        (instances::PLAN_KINDS, None), // their requests wait one by one
    ];
    kinds.into_iter().find(|(kinds, _)| kinds.contains(&entry.kind.as_str())).and_then(|(_, noun)| noun)
}

/// Returns those that cannot be taken up now. Side by side: one that hangs keeps none of the others.
async fn first_try(hull: &Hull, cut: Vec<Cut>) -> Vec<Cut> {
    let tries = cut.into_iter().map(async |cut| {
        let taken_up = attempt(hull, &cut).await;
        // Whatever becomes of it, nobody waits any longer.
        hull.recovery.expect(&cut.left.entry, -1);
        if taken_up {
            return None;
        }
        cut.guards.let_go_on();
        Some(cut)
    });
    futures::future::join_all(tries).await.into_iter().flatten().collect()
}

async fn try_again(hull: &Hull, mut left: Vec<Cut>) {
    let mut pause = FIRST_PAUSE;
    while !left.is_empty() {
        tokio::time::sleep(pause).await;
        let tries = left.into_iter().map(async |cut| (!attempt(hull, &cut).await).then_some(cut));
        left = futures::future::join_all(tries).await.into_iter().flatten().collect();
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(hull: &Hull, cut: &Cut) -> bool {
    let Entry { kind, operation, .. } = &cut.left.entry;
    match plans::settle(hull, &cut.left).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(kind, operation, %error, "cannot take up a cut plan; it is tried again");
            cut.guards.because(&error);
            false
        }
    }
}

/// Takes up a plan of whatever kind.
pub(crate) async fn resume(entry: &Entry, hull: &Hull) -> Result<(), ApiError> {
    if instances::resume_plans(entry, hull).await?
        || storage::resume_plans(entry, hull).await?
        || networks::resume_plans(entry, hull).await?
        || images::resume_plans(entry, hull).await?
    {
        return Ok(());
    }
    Err(ApiError::internal("this hulld knows no such plan"))
}

/// Side by side: one that hangs keeps its rubbish only.
async fn collect_all(hull: &Hull) {
    instances::collect(hull).await;
    for driver in hull.networks.drivers() {
        let hull_for_task = hull.clone();
        hull.tasks.spawn(async move { networks::collect(&hull_for_task, &driver).await });
    }
    for pool in hull.storage.pools() {
        let hull_for_task = hull.clone();
        hull.tasks.spawn(async move { storage::collect(&hull_for_task, &pool.name).await });
    }
}
