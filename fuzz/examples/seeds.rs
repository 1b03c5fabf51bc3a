#![allow(clippy::all, clippy::pedantic)]
use hull_plugin::storage::*; use hull_plugin::network::*; use hull_plugin::instance::*; use hull_plugin::image::*; use hull_plugin::*;
use hull_gateway_contract::*;
use hull_wire::fuzzing::{answer, request, Packet};
use std::os::fd::OwnedFd;
fn op() -> OperationId { OperationId::new("0a0b0c0d-0000-4000-8000-000000000001").unwrap() }
fn write(name: &str, message: u8, packet: std::io::Result<Packet>, kinds: &[u8]) {
    let (bytes, fds) = packet.unwrap();
    assert_eq!(fds.len(), kinds.len(), "{name}");
    let mut all = vec![message, kinds.len() as u8];
    all.extend(kinds); all.extend(bytes);
    hull_fuzz::frames(&all);
    std::fs::write(format!("{}/seeds/frames/{name}", env!("CARGO_MANIFEST_DIR")), all).unwrap();
}
fn file() -> OwnedFd { std::fs::File::open("/proc/self/exe").unwrap().into() }
fn null() -> OwnedFd { std::fs::File::open("/dev/null").unwrap().into() }
fn dir() -> OwnedFd { std::fs::File::open("/").unwrap().into() }
fn netns() -> OwnedFd { std::fs::File::open("/proc/self/ns/net").unwrap().into() }
fn userns() -> OwnedFd { std::fs::File::open("/proc/self/ns/user").unwrap().into() }
fn pipe() -> OwnedFd { std::io::pipe().unwrap().0.into() }
fn main() {
    let config: ConfigMap = [("source".to_owned(), "/x".to_owned()), ("a".into(), "b".into())].into();
    let handle = Handle { version: 1, data: vec![1, 2, 3] };
    let error = DriverError::invalid("k", "message").because("cause").hint("hint");
    write("hello", 0, request(LifecycleRequest::Hello { host: HostHello { version: "0.1".into(), contract: CONTRACT } }), &[]);
    write("recover", 0, request(LifecycleRequest::Recover { handles: vec![StoredHandle { object: "c1/eth0".into(), handle: handle.clone() }] }), &[]);
    write("described", 1, answer(LifecycleResponse::Describe(Description { driver: "dir".into(), version: "1".into(), capabilities: vec!["quota".into()], config: vec![ConfigKey::new("a.*", ValueKind::Choice(vec!["x".into()]), "x", "doc")], item_config: vec![] })), &[]);
    write("recovered", 1, answer(LifecycleResponse::Recover(Ok(vec![Recovered::Adopted, Recovered::Gone { status: Some(9) }, Recovered::Unknown { why: "w".into() }, Recovered::Lost]))), &[]);
    write("store", 2, request(HostRequest::Store { key: "k".into(), fd: null().into() }), &[0]);
    write("service", 2, request(HostRequest::StartService { spec: ServiceSpec { key: "k".into(), service: "dnsmasq".into(), arguments: vec!["--a=b".into()] } }), &[]);
    write("fetched", 3, answer(HostResponse::Fetch(Ok(Some(null().into())))), &[0]);
    write("create-volume", 4, request(StorageDriverRequest::CreateVolume { op: op(), volume: NewVolume { name: "container/c1".parse().unwrap(), content: ContentKind::FileSystem, config: config.clone(), source: VolumeSource::Image(ImageFiles { metadata: file().into(), rootfs: Some(file().into()), max_bytes: 1 << 40, max_inodes: 7 }) } }), &[2, 2]);
    write("mounted", 5, answer(StorageDriverResponse::MountVolume(Ok(VolumeRoot::Mount(dir().into())))), &[1]);
    write("failed", 5, answer(StorageDriverResponse::CreatePool(Err(error))), &[]);
    write("attach-nic", 6, request(NetworkDriverRequest::AttachNic { op: op(), nic: NicSpec { instance: "c1".parse().unwrap(), host_name: "c1".into(), device: "eth0".parse().unwrap(), network: Some("br0".parse().unwrap()), name: "eth0".into(), hwaddr: "00:16:3e:00:00:01".into(), mtu: Some(1500), config: config.clone() }, target: NicTarget::Namespace(netns().into()) }), &[3]);
    write("leases", 7, answer(NetworkDriverResponse::Leases(Ok(vec![Lease { hostname: "c1".into(), hwaddr: "00".into(), address: "10.0.0.1".into(), kind: "dynamic".into() }]))), &[]);
    let map = IdMap { users: vec![IdRange { inside: 0, outside: 1000000, count: 65536 }], groups: vec![] };
    write("prepare", 8, request(InstanceDriverRequest::Prepare { op: op(), preparation: Preparation { instance: "c1".parse().unwrap(), idmap: map, cgroup: "hull/c1".into() } }), &[]);
    write("exec", 8, request(InstanceDriverRequest::Exec { op: op(), spec: ExecSpec { instance: "c1".parse().unwrap(), command: vec!["sh".into()], environment: config.clone(), user: 0, group: 0, directory: "/".into(), terminal: Some(TerminalSize { columns: 80, rows: 24 }), cgroup: "c".into() }, streams: ExecStreams::Given { stdin: null().into(), stdout: pipe().into(), stderr: null().into() } }), &[0, 7, 0]);
    write("prepared", 9, answer(InstanceDriverResponse::Prepare(Ok(Prepared { user_namespace: Some(userns().into()), network_namespace: netns().into() }))), &[4, 3]);
    write("fetch-image", 10, request(ImageSourceRequest::Fetch { op: op(), query: ImageQuery { server: "".into(), alias: "bookworm".into(), architecture: "x86_64".into(), instance_type: "container".into() }, image: SourceImage { id: "i".into(), aliases: vec!["a".into()], architecture: "x".into(), instance_type: "container".into(), properties: config.clone(), fingerprint: Some("ab".repeat(32).parse().unwrap()), size: Some(1) }, sinks: ImageSinks { metadata: file().into(), rootfs: file().into() } }), &[2, 2]);
    let sealed = { use nix::fcntl::*; use nix::sys::memfd::*; let m = memfd_create(c"s", MFdFlags::MFD_ALLOW_SEALING).unwrap(); fcntl(&m, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE)).unwrap(); m };
    write("facts", 11, answer(ImageSourceResponse::Inspect(Ok(ImageFacts { fingerprint: "ab".repeat(32).parse().unwrap(), size: 1, architecture: "x".into(), creation_date: 1, expiry_date: 0, instance_type: "container".into(), properties: config, metadata: sealed.into(), split: false }))), &[6]);
    write("connection", 12, request(GatewayRequest::Connection { connection: OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0).into(), token: Token(7) }), &[9]);
    write("api-call", 14, request(ApiRequest::Call { call: ApiCall { token: Token(7), request: RequestId(1), method: "POST".into(), target: "/1.0?a=b".into(), headers: vec![("host".into(), "h".into())], body: CallBody::Stream { stream: pipe().into(), length: Some(9) }, upgrade: None } }), &[7]);
    write("api-reply", 15, answer(ApiResponse::Call(ApiReply { status: 200, headers: vec![("a".into(), "b".into())], body: ReplyBody::Sink { sink: file().into(), body: b"x".to_vec() } })), &[2]);
}
