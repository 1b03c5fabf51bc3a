//! The fixture: a host without anything but loopback, and instances in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

use hull_plugin::network::{Attachment, NetworkDriverClient, NetworkReady, NetworkSpec, NicSpec, NicTarget};
use hull_plugin::testing::{Harness, Services, context, network};
use hull_plugin::{
    ConfigMap, DeviceName, DriverError, InstanceId, NetworkName, NetworkNamespaceFd, OperationId, ProcessFd,
    ServiceSpec,
};
use nix::sched::{CloneFlags, setns, unshare};

use super::sys::pidfd;
use crate::driver::BridgeDriver;

/// A driver in a namespace that only it is in.
pub(super) struct TestHost {
    pub(super) harness: Harness<NetworkDriverClient>,
    pub(super) state: PathBuf,
    _directory: tempfile::TempDir,
}

/// An instance's network namespace.
pub(super) struct Instance {
    pub(super) name: String,
    namespace: File,
}

/// Runs a test in a fresh namespace, with `/proc/sys/net` and children of that namespace.
pub(super) fn on_a_host<F: Future<Output = ()>>(test: impl FnOnce(TestHost) -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let state = directory.path().join("state");
            let harness = start(&state);
            test(TestHost { harness, state, _directory: directory }).await;
        });
    });
    thread.join().unwrap();
}

fn start(state: &std::path::Path) -> Harness<NetworkDriverClient> {
    let path = state.to_owned();
    let harness = network(move |host| BridgeDriver::new(&path, host)).unwrap();
    *harness.host.services.borrow_mut() = Some(Box::<Processes>::default());
    harness
}

impl TestHost {
    /// Another process of the driver on the same state, as after a crash; services live on.
    pub(super) fn restart(&mut self) {
        let services = self.harness.host.services.borrow_mut().take();
        self.harness = start(&self.state);
        *self.harness.host.services.borrow_mut() = services;
    }

    pub(super) async fn ensure(&self, name: &str, config: &[(&str, &str)]) -> Result<NetworkReady, DriverError> {
        self.ensure_again(&OperationId::random(), name, config).await
    }

    pub(super) async fn ensure_again(
        &self,
        op: &OperationId,
        name: &str,
        config: &[(&str, &str)],
    ) -> Result<NetworkReady, DriverError> {
        let spec = NetworkSpec { name: network_name(name), config: map(config) };
        self.harness.driver.ensure_network(context(), op.clone(), spec).await.unwrap()
    }

    pub(super) async fn delete(&self, name: &str) {
        let op = OperationId::random();
        self.harness.driver.delete_network(context(), op, network_name(name), None).await.unwrap().unwrap();
    }

    pub(super) async fn attach(
        &self,
        instance: &Instance,
        network: &str,
        config: &[(&str, &str)],
    ) -> Result<Attachment, DriverError> {
        let number = instance.name.bytes().map(u32::from).sum::<u32>() % 200;
        let nic = NicSpec {
            instance: InstanceId::new(&instance.name).unwrap(),
            host_name: instance.name.clone(),
            device: DeviceName::new("eth0").unwrap(),
            network: Some(network_name(network)),
            name: "eth0".into(),
            hwaddr: format!("00:16:3e:00:00:{number:02x}"),
            mtu: None,
            config: map(config),
        };
        let namespace = NetworkNamespaceFd::new(instance.namespace.try_clone().unwrap());
        let target = NicTarget::Namespace(namespace);
        self.harness.driver.attach_nic(context(), OperationId::random(), nic, target).await.unwrap()
    }

    pub(super) async fn detach(&self, name: &str) {
        let (instance, device) = (InstanceId::new(name).unwrap(), DeviceName::new("eth0").unwrap());
        let op = OperationId::random();
        self.harness.driver.detach_nic(context(), op, instance, device, None).await.unwrap().unwrap();
    }

    /// Nothing of the driver's is in the namespace any more.
    pub(super) fn assert_empty(&self) {
        assert_eq!(run("ip -br link").lines().count(), 1, "{}", run("ip link"));
        let rules = run("nft list tables");
        assert!(!rules.contains("inet"), "{rules}");
        assert_eq!(std::fs::read_dir(self.state.join("networks")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(self.state.join("nics")).unwrap().count(), 0);
    }
}

impl Instance {
    pub(super) fn new(name: &str) -> Self {
        let thread = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self { name: name.into(), namespace: thread.join().unwrap() }
    }

    /// Does something inside.
    pub(super) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = self.namespace.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap()
    }

    pub(super) fn run(&self, command: &'static str) -> String {
        self.inside(move || run(command))
    }

    pub(super) fn output(&self, command: &str) -> Output {
        let command = command.to_owned();
        self.inside(move || output(&command))
    }

    /// Gets an address by DHCP and takes it; the address.
    pub(super) fn dhcp(&self) -> String {
        self.run("ip link set eth0 up");
        let output = self.output("busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -s /bin/true");
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let address = text.split("lease of ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
        let address = address.unwrap_or_else(|| panic!("no lease: {text}")).to_owned();
        self.output(&format!("ip addr add {address}/24 dev eth0"));
        address
    }
}

/// Services as children of the test, in its namespace; killed and awaited at its end.
#[derive(Default)]
struct Processes(BTreeMap<String, (ServiceSpec, Child)>);

impl Services for Processes {
    fn start(&mut self, spec: ServiceSpec) -> Result<ProcessFd, DriverError> {
        let running = self.0.get_mut(&spec.key);
        let fresh = running.is_none_or(|(old, child)| *old != spec || child.try_wait().unwrap().is_some());
        if fresh {
            self.stop(&spec.key)?;
            let child = Command::new("/usr/sbin/dnsmasq").args(&spec.arguments).spawn().unwrap();
            self.0.insert(spec.key.clone(), (spec.clone(), child));
        }
        Ok(ProcessFd::new(pidfd(self.0[&spec.key].1.id())))
    }

    fn stop(&mut self, key: &str) -> Result<(), DriverError> {
        if let Some((_, mut child)) = self.0.remove(key) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in self.0.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn run(command: &str) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn output(command: &str) -> Output {
    let words: Vec<_> = command.split(' ').collect();
    Command::new(words[0]).args(&words[1..]).output().unwrap()
}

fn network_name(name: &str) -> NetworkName {
    NetworkName::new(name).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}
