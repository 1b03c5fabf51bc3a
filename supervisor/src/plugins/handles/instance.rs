//! An instance driver.

use std::sync::Arc;

use hull_plugin::instance::{
    ExecSpec, ExecStreams, Executed, FileFound, FilesAt, InstanceSpec, InstanceState, MountSpec, NewFile, Preparation,
    Prepared, Started, StopSignal, TerminalSize,
};
use hull_plugin::{FileFd, InstanceId, MemoryFd, MountFd, OperationId, StreamFd};

use super::declare::{CHANGE, QUERY, driver_handle};
use crate::plugins::process::Process;

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
        delete_file(at: &FilesAt) -> (), CHANGE;
        state(instance: &InstanceId) -> InstanceState, QUERY;
    }
}
