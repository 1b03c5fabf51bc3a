//! A facility for tests: hulld ends itself at a named boundary of a plan, exactly as SIGKILL would end it there.
//!
//! `HULL_CRASH_POINTS` names a directory; without it nothing here does anything. In it, `all` is written when hulld starts
//! (every boundary of every plan there is), `passed` grows by each boundary that is reached, and `next` says where to die:
//! its first line is taken off before hulld does, so that the next process goes on to the second.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, raise};

use super::{AfterCrash, Plan};

/// Every boundary of a plan, in the order in which they are reached; those of its undo last.
pub(crate) fn points<P: Plan>() -> Vec<String> {
    let named = |what: &str| format!("{}/{what}", P::KIND);
    let forward = ["journalled"].iter().chain(P::STEPS).chain(&["written"]).map(|what| named(what));
    let undo = P::STEPS.iter().rev().filter(|_| P::AFTER_CRASH == AfterCrash::Undo);
    forward.chain(undo.map(|step| named(&format!("undo/{step}")))).collect()
}

/// The daemon starts: says which points there are.
pub(crate) fn announce(points: &[String]) {
    let Some(place) = place() else { return };
    tracing::warn!(place = %place.display(), "hulld ends itself on order: HULL_CRASH_POINTS is set");
    if let Err(error) = std::fs::write(place.join("all"), points.join("\n") + "\n") {
        tracing::error!(%error, "cannot say which crash points there are");
    }
}

/// A boundary is reached. Does not return if this is where hulld is to die.
pub(super) fn reach<P: Plan>(what: &str) {
    let Some(place) = place() else { return };
    let point = format!("{}/{what}", P::KIND);
    let noted = std::fs::File::options().create(true).append(true).open(place.join("passed"));
    if let Err(error) = noted.and_then(|mut file| writeln!(file, "{point}")) {
        tracing::error!(%error, "cannot note a crash point");
    }
    let orders = std::fs::read_to_string(place.join("next")).unwrap_or_default();
    let Some((first, rest)) = orders.split_once('\n').filter(|(first, _)| *first == point) else { return };
    if let Err(error) = std::fs::write(place.join("next"), rest) {
        return tracing::error!(%error, point = first, "not dying: the next process would die again");
    }
    // Nothing of this process runs after it: no destructor, no log line.
    let _ = raise(Signal::SIGKILL);
}

fn place() -> Option<&'static PathBuf> {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PLACE.get_or_init(|| std::env::var_os("HULL_CRASH_POINTS").map(PathBuf::from)).as_ref()
}
