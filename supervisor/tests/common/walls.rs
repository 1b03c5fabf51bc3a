//! Every sandbox that Hull builds, and what a hostile program is allowed in it: with the reason why that is no harm.

use std::path::Path;

use hull_plugin::{Limits, Manifest};
use hulld::plugins::Walls;

/// One kind of walls.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// How the log calls it.
    pub(crate) logged_as: String,
    pub(crate) walls: Walls,
    /// Its own descriptors, from 3 on.
    pub(crate) descriptors: i32,
    pub(crate) allowed: Vec<(&'static str, &'static str)>,
}

impl Subject {
    pub(crate) fn limits(&self) -> Limits {
        match &self.walls {
            Walls::Plugin(manifest) => manifest.limits.clone(),
            Walls::Service(manifest, name) => {
                manifest.services.iter().find(|service| service.name == *name).unwrap().limits.clone()
            }
            Walls::Gateway => Limits { memory: 512 << 20, processes: 64, open_files: 65_536 },
        }
    }
}

/// From the manifests of the tree, and the gateway.
pub(crate) fn all() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for manifest in manifests() {
        let name = manifest.name.clone();
        let logged_as = if manifest.sandbox.pool { format!("{name}@trial") } else { name.clone() };
        let services: Vec<String> = manifest.services.iter().map(|service| service.name.clone()).collect();
        let listed = allowed(&name);
        let walls = Walls::Plugin(manifest.clone());
        let descriptors = 3 + i32::from(manifest.helper.is_some());
        subjects.push(Subject { name, logged_as, walls, descriptors, allowed: listed });
        for service in services {
            let walls = Walls::Service(manifest.clone(), service.clone());
            let (name, allowed) = (format!("{}/{service}", manifest.name), allowed(&service));
            subjects.push(Subject { name, logged_as: service, walls, descriptors: 0, allowed });
        }
    }
    let (name, logged_as) = ("gateway".to_owned(), "gateway".to_owned());
    subjects.push(Subject { name, logged_as, walls: Walls::Gateway, descriptors: 2, allowed: allowed("gateway") });
    subjects
}

pub(crate) fn manifests() -> Vec<Manifest> {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../plugins");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let texts = paths.iter().filter_map(|path| std::fs::read_to_string(path.join("plugin.toml")).ok());
    texts.map(|text| toml::from_str(&text).unwrap()).collect()
}

fn allowed(name: &str) -> Vec<(&'static str, &'static str)> {
    match name {
        "network-bridge" => vec![
            ("netlink-route", "its work: the host's links and addresses"),
            ("netlink-netfilter", "its work: nft loads the rules"),
            ("connect-host-port", "in the host's network, as it must be, every local port is in reach"),
        ],
        "dnsmasq" => vec![
            ("netlink-route", "NET_ADMIN: it puts clients' addresses into the neighbour table"),
            ("connect-host-port", "in the host's network, as it must be, every local port is in reach"),
            ("listen-on-low-port", "its work: DNS and DHCP"),
            ("raw-socket", "NET_RAW: it asks by ping whether an address is in use"),
            ("raw-socket-6", "NET_RAW: router advertisements"),
            ("drop-to-foreign-group", "SETGID: it becomes nobody"),
        ],
        "instance-container" => {
            vec![("drop-to-foreign-group", "SETGID over its own namespace: it maps containers' groups")]
        }
        "image-debian" => image_builder(),
        _ => Vec::new(),
    }
}

/// Root of a namespace of its own that builds a system in a chroot: over that namespace it may do what root does.
fn image_builder() -> Vec<(&'static str, &'static str)> {
    let own = "over its own namespaces only; nobody on the host";
    let builds = "its work: it runs the packages' scripts";
    let mut all: Vec<_> = [
        "chroot",
        "clone-user",
        "clone3-user",
        "drop-to-foreign-group",
        "mount-bind",
        "mount-tmpfs",
        "open-filesystem",
        "open-tree",
        "pick-filesystem",
        "set-domain-name",
        "set-host-name",
        "unshare-mount",
        "unshare-network",
        "unshare-user",
    ]
    .map(|name| (name, own))
    .into();
    let programs = ["execute-memory", "execute-shell", "execute-usr-program", "execute-written-program"];
    all.extend(programs.map(|name| (name, builds)));
    all.push(("connect-host-port", "it fetches packages through the host's network; the mirror may be local"));
    all
}
