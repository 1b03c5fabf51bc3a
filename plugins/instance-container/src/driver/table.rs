//! The containers this driver knows, and what it holds for each.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use hull_plugin::instance::IdMap;
use hull_plugin::{Code, ConfigMap, DriverError, Handle, InstanceId};
use instance_container::order::Confinement;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::console::Console;

#[derive(Default)]
pub(crate) struct Table(RefCell<BTreeMap<InstanceId, Rc<Instance>>>);

/// One container. Whoever changes its phase holds `turn`.
#[derive(Default)]
pub(crate) struct Instance {
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) phase: RefCell<Phase>,
}

#[derive(Default)]
pub(crate) enum Phase {
    #[default]
    Nothing,
    Prepared(Rc<Prepared>),
    Running(Rc<Running>),
}

pub(crate) struct Prepared {
    pub(crate) cell: Cell,
    pub(crate) idmap: IdMap,
    pub(crate) cgroup: String,
    /// Where something is mounted already.
    pub(crate) mounts: RefCell<BTreeSet<String>>,
}

pub(crate) struct Running {
    pub(crate) process: OwnedFd,
    pub(crate) record: Record,
    pub(crate) confinement: Confinement,
    pub(crate) console: Option<Console>,
}

/// What is needed to find a container again, as Hull stores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: i32,
    /// Clock ticks since boot: with pid and boot id the identity of a process.
    pub(crate) start_time: u64,
    pub(crate) boot_id: String,
    pub(crate) cgroup: String,
    /// What init is, links resolved.
    pub(crate) init: String,
    /// The keys that also hold for commands run later.
    pub(crate) config: ConfigMap,
}

const RECORD_VERSION: u16 = 1;

impl Table {
    /// The container's entry, made if there is none.
    pub(crate) fn entry(&self, id: &InstanceId) -> Rc<Instance> {
        Rc::clone(self.0.borrow_mut().entry(id.clone()).or_default())
    }

    pub(crate) fn remove(&self, id: &InstanceId) {
        self.0.borrow_mut().remove(id);
    }

    pub(crate) fn all(&self) -> Vec<(InstanceId, Rc<Instance>)> {
        self.0.borrow().iter().map(|(id, instance)| (id.clone(), Rc::clone(instance))).collect()
    }

    /// # Errors
    /// `NotFound`: it does not run.
    pub(crate) fn running(&self, id: &InstanceId) -> Result<Rc<Running>, DriverError> {
        let ended = || DriverError::new(Code::NotFound, format!("instance `{id}` is not running"));
        self.ended_or_running(id).and_then(|running| running.is_alive().then_some(running).ok_or_else(ended))
    }

    pub(crate) fn prepared(&self, id: &InstanceId) -> Option<Rc<Prepared>> {
        self.0.borrow().get(id).and_then(|entry| entry.prepared())
    }

    /// The container that runs or has ended, after the start or the cleaning up that is under way: what is to be ended must not
    /// come to life a moment later.
    pub(crate) async fn settled(&self, id: &InstanceId) -> Option<Rc<Running>> {
        let entry = self.0.borrow().get(id).cloned()?;
        if let Some(running) = entry.running() {
            return Some(running);
        }
        let _turn = entry.turn.lock().await;
        entry.running()
    }

    /// Also a container that has ended and was not cleaned up yet.
    pub(crate) fn ended_or_running(&self, id: &InstanceId) -> Result<Rc<Running>, DriverError> {
        let entry = self.0.borrow().get(id).cloned();
        let running = entry.and_then(|entry| entry.running());
        running.ok_or_else(|| DriverError::new(Code::NotFound, format!("instance `{id}` is not running")))
    }
}

impl Instance {
    pub(crate) fn running(&self) -> Option<Rc<Running>> {
        match &*self.phase.borrow() {
            Phase::Running(running) => Some(Rc::clone(running)),
            _ => None,
        }
    }

    pub(crate) fn prepared(&self) -> Option<Rc<Prepared>> {
        match &*self.phase.borrow() {
            Phase::Prepared(prepared) => Some(Rc::clone(prepared)),
            _ => None,
        }
    }
}

impl Running {
    pub(crate) fn is_alive(&self) -> bool {
        is_alive(&self.process)
    }

    /// A second descriptor for the first process.
    pub(crate) fn init(&self) -> Result<OwnedFd, DriverError> {
        duplicate(&self.process)
    }

    pub(crate) fn console(&self) -> Result<&Console, DriverError> {
        self.console.as_ref().ok_or_else(|| {
            DriverError::new(Code::Unavailable, "the console was lost when hulld or the driver was restarted")
                .hint("restart the instance; only `hull admin upgrade` and `hull plugin upgrade` keep consoles")
        })
    }
}

impl Record {
    pub(crate) fn to_handle(&self) -> Result<Handle, DriverError> {
        let data = serde_json::to_vec(self);
        let data = data.map_err(|error| DriverError::new(Code::Internal, "cannot write the handle").because(error))?;
        Ok(Handle { version: RECORD_VERSION, data })
    }

    pub(crate) fn from_handle(handle: &Handle) -> Option<Self> {
        (handle.version == RECORD_VERSION).then(|| serde_json::from_slice(&handle.data).ok()).flatten()
    }
}

/// Whether the process of a pidfd has not ended.
pub(crate) fn is_alive(process: &OwnedFd) -> bool {
    let mut list = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut list, PollTimeout::ZERO) == Ok(0)
}

pub(crate) fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, DriverError> {
    fd.try_clone().map_err(|error| DriverError::system(&error, "cannot duplicate a descriptor"))
}
