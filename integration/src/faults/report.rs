//! What came of the cells: a matrix, and every finding with the command that repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hull_adversary::Fault;

use super::cell::Cell;
use super::scenario::UNREACHED;

/// What came of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The request succeeded all the same.
    Survived,
    /// It failed as it should, with this reason, and the next one succeeds.
    Healed(String),
    /// The request came to its end without a call of the method.
    NotReached,
    Found(Vec<String>),
}

/// The result of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) outcomes: BTreeMap<Cell, Outcome>,
    /// The most that bounds on time were stretched because the machine was busy.
    pub(super) indulgence: f64,
}

impl Report {
    /// How many cells were committed.
    pub fn cells(&self) -> usize {
        self.outcomes.len()
    }

    /// Each cell in which something was wrong, with what it was.
    pub fn findings(&self) -> Vec<(String, Vec<String>)> {
        let found = self.outcomes.iter().filter_map(|(cell, outcome)| match outcome {
            Outcome::Found(what) => Some((cell.to_string(), what.clone())),
            Outcome::NotReached => Some((cell.to_string(), vec!["the method was not called".to_owned()])),
            Outcome::Survived | Outcome::Healed(_) => None,
        });
        found.collect()
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| wanted(outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "`.` succeeded, `e` failed with a reason and healed, a number: findings, of the phases that were committed\n"
        )?;
        write!(f, "{:<30}", "")?;
        for fault in Fault::ALL {
            write!(f, " {:>5.5}", fault.word())?;
        }
        writeln!(f)?;
        let subjects: BTreeSet<String> = self.outcomes.keys().map(Cell::subject).collect();
        for subject in subjects {
            write!(f, "{subject:<30}")?;
            for fault in Fault::ALL {
                let cells = self.outcomes.iter().filter(|(cell, _)| cell.subject() == subject && cell.fault == fault);
                let signs: String = cells.map(|(_, outcome)| sign(outcome)).collect();
                write!(f, " {signs:>5}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nnot called by hulld:")?;
        for (subject, why) in UNREACHED {
            writeln!(f, "  {subject}: {why}")?;
        }
        for (cell, findings) in self.findings() {
            writeln!(f, "\n{cell}\n  again: cargo xtask faults --seed {} --only '{cell}'", self.seed)?;
            findings.iter().try_for_each(|finding| writeln!(f, "  * {finding}"))?;
        }
        writeln!(
            f,
            "\nseed {}: {} cells, {} survived, {} healed, {} with findings (bounds on time up to {:.1} times as long: the machine's load)",
            self.seed,
            self.cells(),
            self.count(|one| *one == Outcome::Survived),
            self.count(|one| matches!(one, Outcome::Healed(_))),
            self.findings().len(),
            self.indulgence.max(1.0)
        )
    }
}

fn sign(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Survived => ".".into(),
        Outcome::Healed(_) => "e".into(),
        Outcome::NotReached => "?".into(),
        Outcome::Found(what) => what.len().to_string(),
    }
}
