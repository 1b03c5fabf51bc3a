//! An instance driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hull_plugin::instance::{
    ExecSpec, ExecStreams, Executed, FileFound, FilesAt, InstanceSpec, InstanceState, MountSpec, NewFile, Preparation,
    Prepared, Started, StopSignal, TerminalSize,
};
use hull_plugin::{Code, DriverError, FileFd, InstanceId, MemoryFd, MountFd, OperationId, StreamFd};

use super::Argument;
use super::declare::{CHANGE, QUERY, driver_handle};
use crate::plugins::process::{Method, Process};

/// All instances of one driver.
#[derive(Clone)]
pub struct InstanceHandle {
    pub(crate) process: Arc<Process>,
}

driver_handle! {
    InstanceHandle, instance {
        prepare(op: &OperationId, preparation: &Preparation) -> Prepared, CHANGE;
        attach_mount(op: &OperationId, instance: &InstanceId, spec: &MountSpec, mount: &MountFd) -> (), CHANGE;
        detach_mount(op: &OperationId, instance: &InstanceId, path: &str) -> (), CHANGE;
        start(op: &OperationId, spec: &InstanceSpec, root: &MountFd) -> Started, CHANGE;
        signal(op: &OperationId, instance: &InstanceId, signal: StopSignal) -> (), QUERY;
        kill(op: &OperationId, instance: &InstanceId) -> (), CHANGE;
        cleanup(op: &OperationId, instance: &InstanceId) -> (), CHANGE;
        freeze(op: &OperationId, instance: &InstanceId) -> (), CHANGE;
        thaw(op: &OperationId, instance: &InstanceId) -> (), CHANGE;
        exec(op: &OperationId, spec: &ExecSpec, streams: &ExecStreams) -> Executed, CHANGE;
        console(instance: &InstanceId) -> StreamFd, QUERY;
        console_log(instance: &InstanceId) -> MemoryFd, QUERY;
        clear_console_log(instance: &InstanceId) -> (), QUERY;
        resize_console(instance: &InstanceId, size: TerminalSize) -> (), QUERY;
        read_file(at: &FilesAt) -> FileFound, CHANGE;
        write_file(at: &FilesAt, file: &NewFile) -> Option<FileFd>, CHANGE;
        state(instance: &InstanceId) -> InstanceState, QUERY;
    }
}

impl InstanceHandle {
    /// Deletes a file. If a process ends in the middle of that, another may find that it is gone already: that is no error.
    pub async fn delete_file(&self, at: &FilesAt) -> Result<(), DriverError> {
        let object = at.object();
        let method = Method { name: "delete_file", deadline: CHANGE, object: object.as_deref() };
        let begun = AtomicU32::new(0);
        let begun = &begun;
        let call = self.process.call(method, |session, context| {
            let at = at.duplicate()?;
            Ok(async move {
                let again = begun.fetch_add(1, Ordering::Relaxed) > 0;
                let answer = session.instance()?.delete_file(context, at).await?;
                match &answer {
                    Err(error) if error.code == Code::HandedOver => drop(begun.fetch_sub(1, Ordering::Relaxed)),
                    Err(error) if error.code == Code::NotFound && again => return Ok(Ok(())),
                    _ => {}
                }
                Ok(answer)
            })
        });
        call.await
    }
}
