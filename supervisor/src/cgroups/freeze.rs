//! Whether a group stands still. Stopping it is its driver's work: the files for it are delegated.

use std::fs;

use super::Cgroup;

impl Cgroup {
    /// Whether all its processes are frozen.
    pub fn is_frozen(&self) -> bool {
        if let Some(path) = self.v1("freezer") {
            return fs::read_to_string(path.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN");
        }
        let unified = self.hierarchies().iter().find(|hierarchy| hierarchy.unified);
        let events = unified.map(|hierarchy| self.directory(hierarchy).join("cgroup.events"));
        events.and_then(|path| fs::read_to_string(path).ok()).is_some_and(|events| events.contains("frozen 1"))
    }
}
