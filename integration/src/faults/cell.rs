//! The cells: methods, read off the contracts, by phases and faults.

use std::fmt;
use std::str::FromStr;

use hull_adversary::{Fault, Phase};
use hull_plugin::{PluginKind, lifecycle_methods, methods};

/// One thing that goes wrong: `storage.create_volume/after/SIGKILL`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub kind: PluginKind,
    pub method: String,
    pub phase: Phase,
    pub fault: Fault,
}

pub(super) const KINDS: [PluginKind; 4] =
    [PluginKind::Storage, PluginKind::Network, PluginKind::Instance, PluginKind::Image];

impl Cell {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in KINDS {
            for method in methods(kind).into_iter().chain(lifecycle_methods()) {
                for (phase, fault) in Phase::ALL.iter().flat_map(|phase| Fault::ALL.map(|fault| (*phase, fault))) {
                    all.push(Self { kind, method: method.clone(), phase, fault });
                }
            }
        }
        all
    }

    /// `storage.create_volume`
    pub fn subject(&self) -> String {
        format!("{}.{}", word(self.kind), self.method)
    }
}

pub(super) fn word(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Storage => "storage",
        PluginKind::Network => "network",
        PluginKind::Instance => "instance",
        PluginKind::Image => "image",
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.subject(), self.phase, self.fault)
    }
}

/// Which cells: `storage.create_volume/after/SIGKILL`, or with parts left out at the end, `storage`, or with `*` for a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    subject: Option<String>,
    phase: Option<Phase>,
    fault: Option<Fault>,
}

impl Selection {
    pub fn holds(&self, cell: &Cell) -> bool {
        let subject = self.subject.as_ref().is_none_or(|wanted| {
            *wanted == cell.subject() || wanted == word(cell.kind) || *wanted == format!("*.{}", cell.method)
        });
        subject
            && self.phase.is_none_or(|phase| phase == cell.phase)
            && self.fault.is_none_or(|fault| fault == cell.fault)
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| *part != "*");
        let subject = next().map(str::to_owned);
        let phase = next().map(str::parse).transpose()?;
        let fault = next().map(str::parse).transpose()?;
        let selection = Self { subject, phase, fault };
        match Cell::all().iter().any(|cell| selection.holds(cell)) {
            true => Ok(selection),
            false => Err(format!("no cell is called `{text}` (as in `storage.create_volume/after/SIGKILL`)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cells_name_selects_it_alone() {
        for cell in Cell::all() {
            let selection: Selection = cell.to_string().parse().unwrap();
            assert_eq!(Cell::all().into_iter().filter(|one| selection.holds(one)).collect::<Vec<_>>(), [cell]);
        }
        assert!("storage.fly/after".parse::<Selection>().is_err());
        let selection: Selection = "instance/*/stuck".parse().unwrap();
        assert!(Cell::all().iter().filter(|one| selection.holds(one)).all(|one| one.fault == Fault::Stuck));
    }
}
