//! Instances.

use hull_plugin::InstanceId;
use hull_plugin::instance::*;

use super::common::{
    config, error, file, handle, memory, mount, network_namespace, op, process, stream, texts, user_namespace,
};
use super::network::interface;
use super::samples;

fn id() -> InstanceId {
    InstanceId::new("c1").unwrap()
}

fn idmap() -> IdMap {
    let range = |outside| vec![IdRange { inside: 0, outside, count: 65_536 }];
    IdMap { users: range(1_000_000), groups: range(2_000_000) }
}

fn spec() -> InstanceSpec {
    let (hostname, architecture) = ("web".into(), "x86_64".into());
    InstanceSpec { instance: id(), hostname, architecture, config: config(), init: texts() }
}

fn size() -> TerminalSize {
    TerminalSize { columns: 80, rows: 300 }
}

fn command() -> ExecSpec {
    ExecSpec {
        instance: id(),
        command: texts(),
        environment: config(),
        user: 1000,
        group: 100,
        directory: "/root".into(),
        terminal: Some(size()),
        cgroup: "instances/c1".into(),
    }
}

fn executed() -> Executed {
    Executed {
        process: process(),
        status: stream(),
        terminal: None,
        stdin: Some(stream()),
        stdout: Some(stream()),
        stderr: Some(stream()),
    }
}

fn at() -> FilesAt {
    FilesAt { instance: id(), stopped_root: Some(mount()), path: "/etc/hosts".into() }
}

fn found() -> FileFound {
    FileFound { user: 1, group: 2, mode: 0o644, content: FileContent::File(file(), 1 << 40) }
}

fn new_file() -> NewFile {
    NewFile { kind: NewFileKind::Link("/etc".into()), user: Some(1), group: Some(2), mode: Some(0o755) }
}

fn state() -> InstanceState {
    InstanceState {
        pid: 4000,
        processes: -1,
        cpu_nanoseconds: 1 << 40,
        memory_bytes: 1,
        memory_peak_bytes: 2,
        swap_bytes: 3,
        swap_peak_bytes: 4,
        frozen: true,
        network: vec![interface()],
    }
}

samples!(instance, InstanceDriverRequest, InstanceDriverResponse, {
    Prepare { op: op(), preparation: Preparation { instance: id(), idmap: idmap(), cgroup: "instances/c1".into() } } =>
        Ok(Prepared { user_namespace: Some(user_namespace()), network_namespace: network_namespace() });
    AttachMount {
        op: op(), instance: id(), spec: MountSpec { path: "/srv".into(), read_only: true }, mount: mount()
    } => Ok(());
    DetachMount { op: op(), instance: id(), path: "/srv".into() } => Ok(());
    Start { op: op(), spec: spec(), root: mount() } => Ok(Started { handle: handle(), process: process(), pid: 4000 });
    Signal { op: op(), instance: id(), signal: StopSignal::Reboot } => Ok(());
    Kill { op: op(), instance: id() } => Err(error());
    Cleanup { op: op(), instance: id() } => Ok(());
    Freeze { op: op(), instance: id() } => Ok(());
    Thaw { op: op(), instance: id() } => Ok(());
    Exec {
        op: op(), spec: command(),
        streams: ExecStreams::Given { stdin: stream(), stdout: stream(), stderr: stream() }
    } => Ok(executed());
    Console { instance: id() } => Ok(stream());
    ConsoleLog { instance: id() } => Ok(memory());
    ClearConsoleLog { instance: id() } => Ok(());
    ResizeConsole { instance: id(), size: size() } => Ok(());
    ReadFile { at: at() } => Ok(found());
    WriteFile { at: at(), file: new_file() } => Ok(Some(file()));
    DeleteFile { at: at() } => Ok(());
    State { instance: id() } => Ok(state());
});
