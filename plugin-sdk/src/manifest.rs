//! What a plugin declares before it runs: kind, contract, and the permissions its sandbox is built from. Deny by default.
//!
//! The manifest is `plugin.toml`, either beside the executable in a directory `NAME/`, or inside the executable in the
//! ELF section `.hull.plugin` ([`crate::manifest!`]), so that it can be read and approved without running anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ContractRange;

/// Puts a `plugin.toml` into the executable, where Hull reads it without running the program.
#[macro_export]
macro_rules! manifest {
    ($path:literal) => {
        #[allow(unsafe_code)] // a section name that no linker and no loader knows: data only
        #[used]
        #[unsafe(link_section = ".hull.plugin")]
        static HULL_PLUGIN_MANIFEST: [u8; include_bytes!($path).len()] = *include_bytes!($path);
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    Storage,
    Network,
    Instance,
    Image,
}

/// A whole `plugin.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `storage-dir`: the kind, a hyphen, the driver's word.
    pub name: String,
    pub kind: PluginKind,
    /// One sentence for lists.
    pub description: String,
    pub version: String,
    /// The contract versions the program speaks.
    pub contract: ContractRange,
    /// Keep the program running although nobody calls it and it has no objects: it works on its own.
    #[serde(default)]
    pub resident: bool,
    /// Files beside the executable that it needs: they stand beside it inside, too.
    #[serde(default)]
    pub companions: Vec<String>,
    #[serde(default)]
    pub sandbox: Sandbox,
    #[serde(default)]
    pub limits: Limits,
    /// A companion that Hull starts with the program.
    #[serde(default)]
    pub helper: Option<HelperManifest>,
    /// Helper processes the driver may have Hull start ([`crate::ServiceSpec`]).
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceManifest>,
}

/// The sandbox of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    pub user: User,
    /// Capabilities kept, without `CAP_`: over the host if `user = "host-root"`, else over the plugin's own namespaces.
    pub capabilities: Vec<String>,
    pub network: NetworkAccess,
    /// `private`: the plugin and its children are alone and end together. `host`: what it starts outlives it.
    pub process_namespace: Namespace,
    /// Paths visible read-only. `/usr` (with `/lib`, `/bin`, … as the host links them) always is. Missing ones are skipped.
    pub read: Vec<PathBuf>,
    /// Paths visible read-write. Missing ones are skipped.
    pub write: Vec<PathBuf>,
    /// Programs it may run, beside those below `/usr` when it lists `/usr` here.
    pub execute: Vec<PathBuf>,
    /// Device nodes; `/dev/null`, `zero`, `full`, `random` and `urandom` always are.
    pub devices: Vec<PathBuf>,
    /// System calls or groups (`@mount`, `@namespace`, `@privileged`, `@netlink-route`, `@netlink-netfilter`,
    /// `@packet-sockets`) on top of the base
    /// list and of what follows from the other grants: changing files from `write`, `state` and `pool`, processes from
    /// `execute`, connections from `network`, changing ids from the capabilities for it.
    /// `@all`: no filter, and programs that change ids work (no `no_new_privs`). Both are inherited and can never be taken
    /// off; a driver whose children are whole systems has a [`HelperManifest`] rather than this.
    pub system_calls: Vec<String>,
    /// The pool's directory, read-write, at `/pool` (storage drivers; one process a pool).
    pub pool: bool,
    /// A directory of its own that lasts, read-write, at `/state`.
    pub state: bool,
    /// Hull's cgroup subtree at `/cgroup/CONTROLLER` (v1) and `/cgroup/unified` (v2): instance drivers.
    pub cgroup: bool,
    /// A procfs at `/proc` that shows only what the plugin may trace.
    pub proc: bool,
}

/// As whom the plugin runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum User {
    /// An otherwise unused host user without any privilege.
    #[default]
    Dynamic,
    /// Root of a user namespace of its own that maps 65536 otherwise unused ids; nobody on the host.
    Namespace,
    /// Like `namespace` with one own id, and with the ids of containers mapped onto themselves, so that it can make
    /// containers' user namespaces.
    InstanceIds,
    /// Host root, cut down to `capabilities`.
    HostRoot,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    #[default]
    Private,
    Host,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkAccess {
    /// An empty network namespace.
    #[default]
    None,
    /// May connect outwards (the host's network, no capability over it).
    Client,
    /// The host's network namespace, for drivers that configure it.
    Host,
}

/// Bounds on one process and its children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    pub processes: u64,
    pub open_files: u64,
}

/// A companion that is started with the program, in its file tree and namespaces, but before the walls that all children
/// inherit and none can take off: `no_new_privs` and the system call filter. For drivers whose children are whole systems: the
/// program itself has all walls, and the helper, which obeys nobody else, makes the children.
///
/// Its standard input and the program's [`crate::HELPER_FD`] are the two ends of a socket (`SOCK_SEQPACKET`, blocking).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperManifest {
    /// One of `companions`.
    pub program: String,
    /// As in [`Sandbox`], where those of the program itself are.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// A helper process the driver may have started; it gets a sandbox of its own with exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceManifest {
    pub name: String,
    pub program: PathBuf,
    #[serde(default)]
    pub sandbox: Sandbox,
    #[serde(default)]
    pub limits: Limits,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            user: User::Dynamic,
            capabilities: Vec::new(),
            network: NetworkAccess::None,
            process_namespace: Namespace::Private,
            read: Vec::new(),
            write: Vec::new(),
            execute: Vec::new(),
            devices: Vec::new(),
            system_calls: Vec::new(),
            pool: false,
            state: false,
            cgroup: false,
            proc: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, processes: 64, open_files: 4096 }
    }
}
