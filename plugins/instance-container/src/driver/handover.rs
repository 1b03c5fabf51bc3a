//! From one process of this driver to the next, while containers, consoles and starts go on.
//!
//! ```text
//! old  serves ─ hand_over: consoles stopped, all that is only in memory into Hull's store ┐
//! new  recover: finds the containers, touches no console                                  └ take_charge: goes on with all of it
//! ```
//! Beside the containers themselves that is: each console's client and the bytes on their way, and the cells that were prepared for
//! containers about to start. If the successor fails, the old process takes charge again, of the same.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use hull_plugin::instance::IdMap;
use hull_plugin::{DriverError, InstanceId};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::console::Session;
use crate::driver::Container;
use crate::table::{Instance, Phase, Prepared, Record, Running};

/// The key of the [`Estate`] in Hull's store.
const ESTATE: &str = "estate";
const VERSION: u32 = 1;
const CLIENT: &str = "console-client";
const CELL: [&str; 3] = ["cell", "cell-users", "cell-network"];

/// What one process leaves to the next; the descriptors that belong to it are in Hull's store, too.
#[derive(Default, Serialize, Deserialize)]
struct Estate {
    version: u32,
    running: Vec<RunningEstate>,
    prepared: Vec<PreparedEstate>,
}

#[derive(Serialize, Deserialize)]
struct RunningEstate {
    instance: String,
    record: Record,
    has_client: bool,
    output: Vec<u8>,
    input: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct PreparedEstate {
    instance: String,
    idmap: IdMap,
    cgroup: String,
    mounts: BTreeSet<String>,
}

impl Container {
    /// Waits for starts and stops that are under way; no more come.
    pub(crate) async fn hand_over(&self) -> Result<(), DriverError> {
        let at_rest = self.charge().rest().await;
        let handover = Arc::clone(self.handover()).lock_owned().await;
        let driver = self.clone();
        // Whoever asked may lose patience: up to here nothing has happened, from here on nothing is cut in the middle.
        let leaving = tokio::task::spawn_local(async move {
            let _handover = handover;
            driver.leave().await?;
            at_rest.give_up();
            Ok(())
        });
        leaving.await.unwrap_or_else(|error| Err(DriverError::internal("handing over ended early").because(error)))
    }

    async fn leave(&self) -> Result<(), DriverError> {
        let mut estate = Estate { version: VERSION, ..Estate::default() };
        for (id, instance) in self.table().all() {
            if let Some(running) = instance.running() {
                estate.running.push(self.leave_running(&id, &running).await?);
            } else if let Some(prepared) = instance.prepared() {
                estate.prepared.push(self.leave_prepared(&id, &prepared).await?);
            }
        }
        let written = write(&estate).map_err(|error| DriverError::system(&error, "cannot write down what is left"))?;
        self.host().store(ESTATE, written).await
    }

    async fn leave_running(&self, id: &InstanceId, running: &Running) -> Result<RunningEstate, DriverError> {
        let session = match &running.console {
            Some(console) => console.stop().await,
            None => Session::default(),
        };
        let has_client = session.client.is_some();
        if let Some(client) = session.client {
            self.host().store(format!("{id}:{CLIENT}"), client).await?;
        }
        let Session { output, input, .. } = session;
        let (instance, record) = (id.to_string(), running.record.clone());
        Ok(RunningEstate { instance, record, has_client, output, input })
    }

    async fn leave_prepared(&self, id: &InstanceId, prepared: &Prepared) -> Result<PreparedEstate, DriverError> {
        for (name, fd) in CELL.into_iter().zip(prepared.cell.descriptors()?) {
            self.host().store(format!("{id}:{name}"), fd).await?;
        }
        Ok(PreparedEstate {
            instance: id.to_string(),
            idmap: prepared.idmap.clone(),
            cgroup: prepared.cgroup.clone(),
            mounts: prepared.mounts.borrow().clone(),
        })
    }

    /// Goes on with what a predecessor, or this process itself, has left, and with all consoles.
    pub(crate) async fn take_charge(&self) -> Result<(), DriverError> {
        let _handover = self.handover().lock().await;
        let estate = match self.host().fetch(ESTATE).await? {
            Some(written) => read(written.into_owned())
                .map_err(|error| DriverError::system(&error, "cannot read what the process before this one left"))?,
            None => Estate { version: VERSION, ..Estate::default() },
        };
        if estate.version != VERSION {
            let message = format!("what the process before this one left has format {}", estate.version);
            return Err(DriverError::internal(message).because(format!("this one reads format {VERSION}")));
        }
        for running in estate.running {
            self.inherit_running(running).await?;
        }
        for prepared in estate.prepared {
            self.inherit_prepared(prepared).await?;
        }
        for (_, instance) in self.table().all() {
            if let Some(console) = instance.running().as_ref().and_then(|running| running.console.as_ref()) {
                console.start(Session::default())?; // those that go on already do
            }
        }
        self.host().discard(ESTATE).await?;
        self.charge().take();
        Ok(())
    }

    async fn inherit_running(&self, left: RunningEstate) -> Result<(), DriverError> {
        let Ok(id) = InstanceId::new(&left.instance) else { return Ok(()) };
        let entry = self.table().entry(&id);
        if !knows(&entry, &left.record) {
            // Started, or ended, after this process had looked for containers.
            self.recover_record(&id, left.record).await?;
        }
        let client = if left.has_client { self.taken(&id, CLIENT).await? } else { None };
        let session = Session { client, output: left.output, input: left.input };
        match entry.running().as_ref().and_then(|running| running.console.as_ref()) {
            Some(console) => console.start(session),
            None => Ok(()),
        }
    }

    async fn inherit_prepared(&self, left: PreparedEstate) -> Result<(), DriverError> {
        let Ok(id) = InstanceId::new(&left.instance) else { return Ok(()) };
        let [channel, users, network] =
            [self.taken(&id, CELL[0]).await?, self.taken(&id, CELL[1]).await?, self.taken(&id, CELL[2]).await?];
        let (Some(channel), Some(users), Some(network)) = (channel, users, network) else { return Ok(()) };
        let entry = self.table().entry(&id);
        if entry.prepared().is_some() {
            return Ok(()); // this process's own
        }
        let prepared = Prepared {
            cell: Cell::of([channel, users, network], left.idmap.clone())?,
            idmap: left.idmap,
            cgroup: left.cgroup,
            mounts: left.mounts.into(),
        };
        entry.phase.replace(Phase::Prepared(Rc::new(prepared)));
        Ok(())
    }

    async fn taken(&self, id: &InstanceId, what: &str) -> Result<Option<OwnedFd>, DriverError> {
        let found = self.fetch(id, what).await?;
        self.host().discard(format!("{id}:{what}")).await?;
        Ok(found)
    }
}

fn knows(entry: &Instance, record: &Record) -> bool {
    entry
        .running()
        .is_some_and(|running| running.record.pid == record.pid && running.record.start_time == record.start_time)
}

fn write(estate: &Estate) -> std::io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"estate", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&serde_json::to_vec(estate)?)?;
    Ok(file.into())
}

fn read(written: OwnedFd) -> std::io::Result<Estate> {
    let mut file = File::from(written);
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
