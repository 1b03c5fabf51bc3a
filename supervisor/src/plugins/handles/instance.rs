//! An instance driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
        let begun = &AtomicBool::new(false);
        let call = self.process.call(method, |session, context| {
            let at = at.duplicate()?;
            Ok(async move {
                let again = begun.swap(true, Ordering::Relaxed);
                let answer = session.instance()?.delete_file(context, at).await?;
                if matches!(&answer, Err(error) if error.code == Code::HandedOver) {
                    begun.store(again, Ordering::Relaxed); // nothing was: another process is asked
                }
                Ok(if again { answer.or_else(unless_gone) } else { answer })
            })
        });
        call.await
    }
}

/// That there is no such file is what was wanted.
fn unless_gone(error: DriverError) -> Result<(), DriverError> {
    let gone = error.code == Code::NotFound && error.key.as_deref() == Some("path");
    if gone { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_deleted_and_an_instance_that_is_gone_is_not() {
        let no_file = DriverError { key: Some("path".into()), ..DriverError::not_found("no such file") };
        assert_eq!(unless_gone(no_file), Ok(()));
        let no_instance = DriverError::not_found("instance `web` is not running");
        assert_eq!(unless_gone(no_instance.clone()), Err(no_instance));
    }
}
