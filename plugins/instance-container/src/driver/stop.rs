//! Ending containers, and holding them still.

use std::os::fd::AsFd;
use std::time::Duration;

use hull_plugin::instance::StopSignal;
use hull_plugin::{Code, DriverError, InstanceId};
use hull_sys::process;
use nix::errno::Errno;
use tokio::io::Interest;

use crate::cgroup;
use crate::config;
use crate::driver::Container;
use crate::sys::watch;
use crate::table::{Phase, Running};

/// What a container keeps in Hull's store.
pub(crate) const STORED: [&str; 4] = ["pid", "console", "console-slave", "console-log"];
const DEATH: Duration = Duration::from_secs(20);

impl Container {
    pub(crate) fn signal(&self, id: &InstanceId, signal: StopSignal) -> Result<(), DriverError> {
        let running = self.table().running(id)?;
        let number = config::signal(&running.record, signal);
        send(&running, number, id)
    }

    pub(crate) async fn kill(&self, id: &InstanceId) -> Result<(), DriverError> {
        let Some(running) = self.table().settled(id).await else { return Ok(()) };
        send(&running, libc::SIGKILL, id)?;
        // On v1 a frozen process does not even die.
        if cgroup::is_frozen(&running.record.cgroup) != Some(false) {
            let _ = cgroup::set_frozen(&running.record.cgroup, false).await;
        }
        let dead = async {
            let process = watch(running.init()?, Interest::READABLE);
            let process = process.map_err(|error| DriverError::system(&error, "cannot watch a process"))?;
            let ended = process.readable().await.map(drop);
            ended.map_err(|error| DriverError::system(&error, "cannot watch a process"))
        };
        tokio::time::timeout(DEATH, dead).await.map_err(|_| {
            DriverError::new(
                Code::DeadlineExceeded,
                format!("instance `{id}` (process {}) did not die within {} s", running.record.pid, DEATH.as_secs()),
            )
            .hint("a process in it is stuck in the kernel; `cat /proc/PID/stack` on the host shows where")
        })?
    }

    pub(crate) async fn cleanup(&self, id: &InstanceId) -> Result<(), DriverError> {
        let entry = self.table().entry(id);
        let _turn = entry.turn.lock().await;
        if entry.running().is_some_and(|running| running.is_alive()) {
            return Err(DriverError::new(Code::Busy, format!("instance `{id}` still runs")).hint("stop it first"));
        }
        entry.phase.replace(Phase::Nothing); // a cell ends when its socket is closed
        let [first, second, third, fourth] = STORED.map(|what| self.host().discard(format!("{id}:{what}")));
        tokio::try_join!(first, second, third, fourth)?;
        self.table().remove(id);
        self.refill_later();
        Ok(())
    }

    pub(crate) async fn set_frozen(&self, id: &InstanceId, frozen: bool) -> Result<(), DriverError> {
        let running = self.table().running(id)?;
        cgroup::set_frozen(&running.record.cgroup, frozen).await
    }
}

fn send(running: &Running, number: i32, id: &InstanceId) -> Result<(), DriverError> {
    match process::signal_number(running.process.as_fd(), number) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(DriverError::system(&error.into(), format!("cannot signal instance `{id}`"))),
    }
}
