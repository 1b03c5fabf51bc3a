//! Running a container's init in its cell.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use hull_plugin::instance::{InstanceSpec, Started};
use hull_plugin::{Code, DriverError, InstanceId, MountFd, ProcessFd};
use instance_container::order::{Access, CellOrder, FailureKind, Report};

use crate::config;
use crate::console::{Console, Log, Session};
use crate::driver::Container;
use crate::helper::{Channel, explain};
use crate::recover::{boot_id, start_time};
use crate::table::{Phase, Prepared, Record, Running};

impl Container {
    pub(crate) async fn start(&self, spec: InstanceSpec, root: MountFd) -> Result<Started, DriverError> {
        let result = self.start_prepared(spec, root).await;
        self.refill_later(); // not before: it would compete with the start
        result
    }

    async fn start_prepared(&self, spec: InstanceSpec, root: MountFd) -> Result<Started, DriverError> {
        let entry = self.table().entry(&spec.instance);
        let _turn = entry.turn.lock().await;
        if let Some(running) = entry.running().filter(|running| running.is_alive()) {
            return started(&running);
        }
        let Phase::Prepared(prepared) = entry.phase.take() else {
            return Err(DriverError::new(Code::Unavailable, format!("instance `{}` is not prepared", spec.instance))
                .hint("the driver was restarted in between; prepare the instance again"));
        };
        config::check_raw(&spec.config)?;
        let order = config::start(&spec, uuid::Uuid::new_v4().to_string())?;
        let confinement = order.confinement.clone();
        let root = self.locked(&prepared.cell, Access::ReadWrite, root).await?;
        let channel = &prepared.cell.channel;
        channel.send(&CellOrder::Start(Box::new(order)), &[root]).await?;
        let booted = Booted::receive(channel, &spec.instance).await?;
        let running = Rc::new(self.take_over(&spec, &prepared, booted, confinement)?);
        self.deposit(&spec.instance, &running).await?;
        entry.phase.replace(Phase::Running(Rc::clone(&running)));
        started(&running)
    }

    fn take_over(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        booted: Booted,
        confinement: instance_container::order::Confinement,
    ) -> Result<Running, DriverError> {
        let record = Record {
            pid: booted.pid,
            start_time: start_time(booted.pid).unwrap_or(0),
            boot_id: boot_id(),
            cgroup: prepared.cgroup.clone(),
            init: booted.init,
            config: config::kept(&spec.config),
        };
        let [master, slave] = booted.console;
        let console = Console::new(master, slave, Log::new()?);
        console.start(Session::default())?;
        Ok(Running { process: booted.process, record, confinement, console: Some(console) })
    }

    /// Puts in Hull's keeping what the next process of this driver needs.
    async fn deposit(&self, id: &InstanceId, running: &Running) -> Result<(), DriverError> {
        let console = running.console()?;
        let [master, slave, log] = console.descriptors()?;
        let store = |what: &str, fd: OwnedFd| self.host().store(format!("{id}:{what}"), fd);
        tokio::try_join!(
            store("pid", running.init()?),
            store("console", master),
            store("console-slave", slave),
            store("console-log", log)
        )
        .map(drop)
    }
}

fn started(running: &Running) -> Result<Started, DriverError> {
    Ok(Started {
        handle: running.record.to_handle()?,
        process: ProcessFd::new(running.init()?),
        pid: running.record.pid,
    })
}

/// A container whose init is executing.
struct Booted {
    pid: i32,
    process: OwnedFd,
    init: String,
    console: [OwnedFd; 2],
}

impl Booted {
    /// Collects the cell's reports until its socket is closed by init's execution.
    async fn receive(channel: &Channel, id: &InstanceId) -> Result<Self, DriverError> {
        let (mut process, mut console, mut failure) = (None, None, None);
        while let Some((report, mut descriptors)) = channel.receive().await? {
            match report {
                Report::Started { pid } => process = descriptors.pop().map(|process| (pid, process)),
                Report::Console { init } => {
                    console = <[OwnedFd; 2]>::try_from(descriptors).ok().map(|console| (init, console));
                }
                Report::Failed(why) => failure = Some(why),
                other => tracing::warn!(?other, "unexpected report"),
            }
        }
        match (failure, process, console) {
            (None, Some((pid, process)), Some((init, console))) => Ok(Self { pid, process, init, console }),
            (Some(failure), ..) if failure.kind == FailureKind::NoProgram => Err(DriverError {
                key: None,
                ..explain(&failure).context(format!("no init in the root file system of `{id}`"))
            }),
            (Some(failure), ..) => {
                Err(DriverError { key: None, ..explain(&failure).context(format!("cannot start `{id}`")) })
            }
            _ => Err(DriverError::new(Code::Internal, format!("cannot start `{id}`: its first process vanished"))),
        }
    }
}
