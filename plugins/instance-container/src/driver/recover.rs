//! Finding containers again after this driver was restarted. A predecessor may still serve: their consoles are not touched before
//! this process takes charge ([`crate::handover`]).

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use hull_plugin::{DriverError, InstanceId, Recovered, StoredHandle};
use hull_sys::process;

use crate::config;
use crate::console::{Console, Log};
use crate::driver::Container;
use crate::table::{Phase, Record, Running, is_alive};

impl Container {
    pub(crate) async fn recover_all(&self, handles: Vec<StoredHandle>) -> Result<Vec<Recovered>, DriverError> {
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            answers.push(self.recover_one(&handle).await?);
        }
        Ok(answers)
    }

    async fn recover_one(&self, stored: &StoredHandle) -> Result<Recovered, DriverError> {
        let (Ok(id), Some(record)) = (InstanceId::new(&stored.object), Record::from_handle(&stored.handle)) else {
            return Ok(Recovered::Lost);
        };
        self.recover_record(&id, record).await
    }

    pub(crate) async fn recover_record(&self, id: &InstanceId, record: Record) -> Result<Recovered, DriverError> {
        if record.boot_id != boot_id() {
            return Ok(Recovered::Lost);
        }
        let process = match self.fetch(id, "pid").await? {
            Some(process) => process,
            None => match process::open(record.pid) {
                Ok(process) if start_time(record.pid) == Some(record.start_time) => process,
                _ => return Ok(Recovered::Gone { status: None }),
            },
        };
        if !is_alive(&process) {
            return Ok(Recovered::Gone { status: process::exit_status(process.as_fd()) });
        }
        let confinement = match config::confinement(&record.config) {
            Ok(confinement) => confinement,
            Err(error) => return Ok(Recovered::Unknown { why: error.to_string() }),
        };
        let console = self.recover_console(id).await?;
        let running = Running { process, record, confinement, console };
        self.table().entry(id).phase.replace(Phase::Running(Rc::new(running)));
        Ok(Recovered::Adopted)
    }

    /// A container without its console is better than none.
    async fn recover_console(&self, id: &InstanceId) -> Result<Option<Console>, DriverError> {
        let parts = (
            self.fetch(id, "console").await?,
            self.fetch(id, "console-slave").await?,
            self.fetch(id, "console-log").await?,
        );
        let (Some(master), Some(slave), log) = parts else { return Ok(None) };
        let log = match log.map(Log::resume) {
            Some(Ok(log)) => log,
            _ => Log::new()?,
        };
        Ok(Some(Console::new(master, slave, log)))
    }

    pub(crate) async fn fetch(&self, id: &InstanceId, what: &str) -> Result<Option<OwnedFd>, DriverError> {
        Ok(self.host().fetch(format!("{id}:{what}")).await?.map(hull_plugin::AnyFd::into_owned))
    }
}

/// Which boot of the host this is.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process was started, in clock ticks since boot.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the start time is the 20th field after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
