//! What all contracts share, and the contracts of all kinds.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hull_plugin::*;

use super::samples;

pub(crate) fn op() -> OperationId {
    OperationId::new("00000000-0000-4000-8000-000000000001").unwrap()
}

pub(crate) fn config() -> ConfigMap {
    ConfigMap::from([("size".into(), "1GiB".into()), ("source".into(), "/srv".into())])
}

pub(crate) fn handle() -> Handle {
    Handle { version: 2, data: vec![1, 2, 255] }
}

pub(crate) fn error() -> DriverError {
    DriverError {
        code: Code::InvalidConfig,
        message: "message".into(),
        key: Some("key".into()),
        causes: vec!["first".into(), "second".into()],
        hint: Some("hint".into()),
        retry: Retry::After(Duration::from_millis(1500)),
    }
}

pub(crate) fn texts() -> Vec<String> {
    vec!["one".into(), "two".into()]
}

pub(crate) fn stream() -> StreamFd {
    StreamFd::new(OwnedFd::from(std::io::pipe().unwrap().0))
}

pub(crate) fn file() -> FileFd {
    FileFd::new(tempfile::tempfile().unwrap())
}

pub(crate) fn mount() -> MountFd {
    MountFd::new(File::open("/").unwrap())
}

pub(crate) fn memory() -> MemoryFd {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let memory = memfd_create(c"sample", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::all())).unwrap();
    MemoryFd::new(memory)
}

pub(crate) fn process() -> ProcessFd {
    ProcessFd::new(hull_sys::process::open(i32::try_from(std::process::id()).unwrap()).unwrap())
}

pub(crate) fn network_namespace() -> NetworkNamespaceFd {
    NetworkNamespaceFd::new(File::open("/proc/self/ns/net").unwrap())
}

pub(crate) fn user_namespace() -> UserNamespaceFd {
    UserNamespaceFd::new(File::open("/proc/self/ns/user").unwrap())
}

fn contract() -> ContractRange {
    ContractRange { oldest: 1, newest: 3 }
}

fn description() -> Description {
    let key =
        |name: &str, kind| ConfigKey { name: name.into(), kind, default: "d".into(), doc: "doc".into(), live: false };
    let kinds = [
        ValueKind::Text,
        ValueKind::Boolean,
        ValueKind::Integer,
        ValueKind::Size,
        ValueKind::Choice(texts()),
        ValueKind::Cidr(texts()),
        ValueKind::Path,
    ];
    Description {
        driver: "dir".into(),
        version: "1.2.3".into(),
        capabilities: texts(),
        config: kinds.into_iter().map(|kind| key("a", kind)).collect(),
        item_config: vec![key("b", ValueKind::Text)],
        concurrency: 8,
        queue: 300,
    }
}

/// With values that must match an expression, which version 1 does not know.
fn description_of_version_two() -> Description {
    let mut description = description();
    description.item_config[0].kind = ValueKind::matching("(a|b)+", "write a or b");
    description
}

fn recovered() -> Vec<Recovered> {
    vec![
        Recovered::Adopted,
        Recovered::Gone { status: Some(256) },
        Recovered::Unknown { why: "why".into() },
        Recovered::Lost,
    ]
}

/// What version 2 has beyond version 1.
pub(crate) fn lifecycle_of_version_two() -> Vec<crate::Sample<LifecycleRequest, LifecycleResponse>> {
    let reply = LifecycleResponse::Describe(description_of_version_two());
    vec![crate::Sample { method: "Describe", request: LifecycleRequest::Describe {}, reply }]
}

samples!(lifecycle, LifecycleRequest, LifecycleResponse, {
    Hello { host: HostHello { version: "0.1.0".into(), contract: contract() } } => Hello {
        name: "dir".into(), version: "1".into(), kind: PluginKind::Image, contract: contract(),
    };
    Describe {} => description();
    Recover { handles: vec![StoredHandle { object: "c1/eth0".into(), handle: handle() }] } => Ok(recovered());
    Health {} => Health::Unhealthy { why: "why".into() };
    Drain {} => Err(error());
    HandOver {} => Ok(());
    TakeCharge {} => Err(error());
});

fn progress() -> Progress {
    Progress { stage: "unpack".into(), percent: Some(50), processed: Some(70_000), speed: Some(1 << 40) }
}

fn service() -> ServiceSpec {
    ServiceSpec { key: "dnsmasq-br0".into(), service: "dnsmasq".into(), arguments: texts() }
}

samples!(host, HostRequest, HostResponse, {
    Progress { op: op(), progress: progress() } => ();
    Store { key: "key".into(), fd: AnyFd::new(file().into_owned()) } => Ok(());
    Fetch { key: "key".into() } => Ok(Some(AnyFd::new(file().into_owned())));
    Discard { key: "key".into() } => Err(error());
    StartService { spec: service() } => Ok(process());
    StopService { key: "key".into() } => Ok(());
    ServiceState { key: "key".into() } => Ok(ServiceState::Exited { status: -1 });
});
