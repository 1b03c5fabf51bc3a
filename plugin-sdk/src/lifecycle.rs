//! What every driver answers, whatever its kind: who it is, what it remembers, how it feels.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::{ConfigKey, DriverError, PluginKind, ValueKind};

/// The contract versions this SDK speaks. 2: values may be [`crate::ValueKind::Matching`].
pub const CONTRACT: ContractRange = ContractRange { oldest: 1, newest: 2 };

/// Contract versions, both ends included. Apart from Hull's own version: it moves only when a contract does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractRange {
    pub oldest: u32,
    pub newest: u32,
}

impl ContractRange {
    /// The highest version both know.
    pub fn settle(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What Hull says first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostHello {
    pub version: String,
    pub contract: ContractRange,
}

/// What the plugin answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    pub name: String,
    pub version: String,
    pub kind: PluginKind,
    pub contract: ContractRange,
}

/// What a driver is and can do. Hull asks this instead of knowing drivers by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The word users write: `dir`, `bridge`, `container`, `debian`.
    pub driver: String,
    pub version: String,
    /// Words of the contract's documentation: `optimised_copy`, `quota`, `inspect`, `nic:bridged`, …
    pub capabilities: Vec<String>,
    /// Keys of the objects the driver owns (a pool's, a network's, an instance's).
    pub config: Vec<ConfigKey>,
    /// Keys of the smaller objects in them: a volume's, a NIC's.
    pub item_config: Vec<ConfigKey>,
    /// How many calls Hull has running at once: so many questions, and so many changes beside them.
    pub concurrency: u32,
    /// How many more of each wait for their turn; beyond that a call is refused ([`crate::Code::Overloaded`]).
    pub queue: u32,
}

impl Description {
    /// What a Hull that speaks no more than version `contract` understands of it.
    pub(crate) fn in_contract(mut self, contract: u32) -> Self {
        for key in self.config.iter_mut().chain(&mut self.item_config) {
            if contract < 2 && matches!(key.kind, ValueKind::Matching { .. }) {
                key.kind = ValueKind::Text;
            }
        }
        self
    }
}

impl Default for Description {
    fn default() -> Self {
        Self {
            driver: String::new(),
            version: String::new(),
            capabilities: Vec::new(),
            config: Vec::new(),
            item_config: Vec::new(),
            concurrency: Self::CONCURRENCY,
            queue: Self::QUEUE,
        }
    }
}

impl Description {
    /// The bound of a driver that does not think about it: enough to keep a disk and a few processors busy.
    pub const CONCURRENCY: u32 = 32;
    /// A burst that is worth waiting for.
    pub const QUEUE: u32 = 256;

    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one == capability)
    }
}

/// What a driver needs to find an object again: opaque to Hull, at most 32 KiB, stored with the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The driver's own format version.
    pub version: u16,
    pub data: Vec<u8>,
}

/// A handle given back after a restart, with the object it was stored for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredHandle {
    /// The id Hull chose: an [`crate::InstanceId`], a network's or a pool's name, or `INSTANCE/DEVICE` for a NIC.
    pub object: String,
    pub handle: Handle,
}

/// What became of an object while the driver was away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recovered {
    /// Found and taken over.
    Adopted,
    /// It ended by itself; the wait status if known.
    Gone { status: Option<i32> },
    /// It may or may not be there.
    Unknown { why: String },
    /// The handle is from another boot or unreadable. Never a reason to destroy anything.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    Ready,
    Unhealthy { why: String },
}

/// The first channel of every plugin. Order: `hello`, `describe`, `recover` until all handles are through, `health`, `take_charge`.
///
/// Two processes of a plugin may live at a time: an upgrade starts the new one beside the old.
/// ```text
/// old  … serves ───────────────────────────────┬ hand_over ┐            ┌ drain ─ end
/// new  hello ─ describe ─ recover ─ health ────┘           └ take_charge┴ serves …
/// ```
/// Hull begins no call between `hand_over` and the answer to `take_charge`, but one may be on its way: if it changes what the new
/// process must know of, it is refused ([`crate::Charge`]). If the new process fails there, the old one is told to `take_charge` again.
#[tarpc::service]
pub trait Lifecycle {
    /// The handshake; must be answered within a second of the start.
    async fn hello(host: HostHello) -> Hello;
    async fn describe() -> Description;
    /// One answer for each handle, in their order. Called in batches that fit a frame; again, before `take_charge`, for objects
    /// that are new since. A predecessor may live and serve: look for the objects, but change nothing and take nothing.
    async fn recover(handles: Vec<StoredHandle>) -> Result<Vec<Recovered>, DriverError>;
    async fn health() -> Health;
    /// Finish what runs, take no more work. The process is ended afterwards.
    async fn drain() -> Result<(), DriverError>;
    /// A successor is ready: let go of what only one process may hold, and leave in Hull's store what the successor needs.
    /// Wait for running calls that would interfere with it; others go on beside it until they are through.
    async fn hand_over() -> Result<(), DriverError>;
    /// From now on this process is the one that serves; what a predecessor left is there. Also called when there was none.
    async fn take_charge() -> Result<(), DriverError>;
}

/// The part of a driver that is the same for every kind. Only `describe` has no default.
pub trait Driver: Clone + 'static {
    fn describe(&self) -> Description;

    /// See [`Lifecycle::recover`]. The default is for drivers that keep nothing outside their objects.
    fn recover(&self, handles: Vec<StoredHandle>) -> impl Future<Output = Result<Vec<Recovered>, DriverError>> {
        async move { Ok(vec![Recovered::Adopted; handles.len()]) }
    }

    fn health(&self) -> impl Future<Output = Health> {
        async { Health::Ready }
    }

    /// See [`Lifecycle::hand_over`]. The default is for drivers that two processes can run of at a time.
    fn hand_over(&self) -> impl Future<Output = Result<(), DriverError>> {
        async { Ok(()) }
    }

    /// See [`Lifecycle::take_charge`].
    fn take_charge(&self) -> impl Future<Output = Result<(), DriverError>> {
        async { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_hull_is_told_nothing_that_it_cannot_read() {
        let key = |name, kind| ConfigKey::new(name, kind, "", "");
        let description = Description {
            config: vec![key("a", ValueKind::matching("x+", "write x")), key("b", ValueKind::Boolean)],
            item_config: vec![key("c", ValueKind::matching("y", "write y"))],
            ..Description::default()
        };
        assert_eq!(description.clone().in_contract(2).config, description.config);
        let older = description.in_contract(1);
        assert_eq!([&older.config[0].kind, &older.config[1].kind], [&ValueKind::Text, &ValueKind::Boolean]);
        assert_eq!(older.item_config[0].kind, ValueKind::Text);
    }
}
