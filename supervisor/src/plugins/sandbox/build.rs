//! From a manifest to a plan.

use std::fs;
use std::path::{Path, PathBuf};

use hull_plugin::{Limits, Namespace, NetworkAccess, Sandbox, User};

use super::ids;
use super::plan::{Access, Heard, Helper, Identity, Landlock, Mount, MountKind, Network, Plan, Proc, Required};
use super::spawn::{Slot, SpawnError};
use crate::cgroups::{Cgroup, CgroupLimits, Cgroups};
use crate::plugins::process::Spec;

/// Where the executable stands inside.
const PROGRAM: &str = "/plugin";
/// What /tmp may hold, for plugins that run tools.
const TEMPORARY_BYTES: u64 = 64 << 20;
/// Bound on a gateway.
const GATEWAY_LIMITS: Limits = Limits { memory: 512 << 20, processes: 64, open_files: 65_536 };

/// What a sandbox is made for.
struct Wishes<'a> {
    name: String,
    /// Plugin whose ids and state directory it has.
    plugin: &'a str,
    hull_dir: &'a Path,
    cgroups: &'a Cgroups,
    group: Cgroup,
    sandbox: &'a Sandbox,
    limits: &'a Limits,
    state: Option<PathBuf>,
    pool: Option<&'a Path>,
}

pub(super) fn plugin_plan(spec: &Spec, slot: Slot) -> Result<Plan, SpawnError> {
    let manifest = &spec.installed.manifest;
    let environment = &spec.environment;
    let state = spec.name.pool.as_ref().map_or_else(|| "state".to_owned(), |pool| format!("state@{pool}"));
    let wishes = Wishes {
        name: spec.name.to_string(),
        plugin: &spec.name.plugin,
        hull_dir: &environment.hull_dir,
        cgroups: &environment.cgroups,
        group: environment.cgroups.plugin(&slot.group(spec)),
        sandbox: &manifest.sandbox,
        limits: &manifest.limits,
        state: manifest.sandbox.state.then(|| state_directory(&environment.hull_dir, &spec.name.plugin, &state)),
        pool: if manifest.sandbox.pool { spec.pool_source.as_deref() } else { None },
    };
    let mut plan = plan(wishes)?;
    plan.descriptors = 3;
    plan.program = PROGRAM.into();
    plan.mounts.push(program_mount(&spec.installed.executable));
    for name in &manifest.companions {
        let source = spec.installed.executable.with_file_name(name);
        plan.mounts.push(bind(source, Path::new("/").join(name), Access::Read, Required::Yes));
    }
    if let Some(helper) = &manifest.helper {
        if !manifest.companions.contains(&helper.program) {
            let why = format!("its helper `{}` is none of its companions", helper.program);
            return Err(SpawnError::Manifest { why });
        }
        let program = Path::new("/").join(&helper.program);
        plan.helper = Some(Helper { program, capabilities: helper.capabilities.clone() });
        plan.landlock = Landlock::Nothing; // what the helper makes is outside of any landlock
    }
    Ok(plan)
}

/// A helper process of a plugin: its own rights, the plugin's state directory.
pub(crate) fn service_plan(spec: &Spec, service: &str, key: &str, arguments: &[String]) -> Result<Plan, SpawnError> {
    let entry = spec.installed.manifest.services.iter().find(|entry| entry.name == service);
    let entry = entry.ok_or_else(|| SpawnError::NoService { service: service.to_owned() })?;
    let environment = &spec.environment;
    let mut sandbox = entry.sandbox.clone();
    sandbox.execute.push(entry.program.clone());
    // A service lives by its own: it is pid 1 of nothing unless it asks, and it has the state of its plugin.
    let state = spec.installed.manifest.sandbox.state;
    let wishes = Wishes {
        name: key.to_owned(),
        plugin: &spec.name.plugin,
        hull_dir: &environment.hull_dir,
        cgroups: &environment.cgroups,
        group: environment.cgroups.service(key),
        sandbox: &sandbox,
        limits: &entry.limits,
        state: state.then(|| state_directory(&environment.hull_dir, &spec.name.plugin, "state")),
        pool: None,
    };
    let mut plan = plan(wishes)?;
    plan.program = entry.program.clone();
    plan.arguments.extend_from_slice(arguments);
    Ok(plan)
}

/// The gateway: an unprivileged user, no network, no files.
pub(crate) fn gateway_plan(hull_dir: &Path, cgroups: &Cgroups, executable: &Path) -> Result<Plan, SpawnError> {
    let wishes = Wishes {
        name: "gateway".into(),
        plugin: "gateway",
        hull_dir,
        cgroups,
        group: cgroups.plugin("gateway"),
        sandbox: &Sandbox::default(),
        limits: &GATEWAY_LIMITS,
        state: None,
        pool: None,
    };
    let mut plan = plan(wishes)?;
    plan.descriptors = 1;
    plan.program = PROGRAM.into();
    plan.mounts.push(program_mount(executable));
    Ok(plan)
}

fn plan(wishes: Wishes) -> Result<Plan, SpawnError> {
    let Wishes { name, plugin, hull_dir, cgroups, group, sandbox, limits, state, pool } = wishes;
    prepare_group(&group, limits)?;
    let block = ids::block(hull_dir, plugin);
    let identity = identity(sandbox.user, block);
    if sandbox.user == User::Dynamic && !sandbox.capabilities.is_empty() {
        return Err(SpawnError::Manifest {
            why: "`user = \"dynamic\"` can have no capability; ask for `namespace`".into(),
        });
    }
    if sandbox.cgroup && identity != Identity::HostRoot {
        cgroups.let_move(block).map_err(SpawnError::Cgroup)?;
    }
    let owner = if identity == Identity::HostRoot { 0 } else { block };
    prepare_state(hull_dir, plugin, block, state.as_deref().map(|path| (path, owner)))?;
    let directory = if state.is_some() { "/state" } else { "/" };
    let mut mounts = base_mounts();
    mounts.extend(granted_mounts(sandbox));
    if let Some(state) = &state {
        mounts.push(bind(state.clone(), "/state", Access::Write, Required::Yes));
    }
    if let Some(pool) = pool {
        mounts.push(bind(pool.to_owned(), "/pool", Access::Data, Required::Yes));
    }
    if sandbox.cgroup {
        for (label, path) in cgroups.directories() {
            mounts.push(bind(path, Path::new("/cgroup").join(label), Access::Data, Required::Yes));
        }
    }
    let proc = match (sandbox.proc, sandbox.user) {
        (false, _) => Proc::None,
        (true, User::HostRoot) => Proc::ReadOnly,
        (true, _) => Proc::Writable,
    };
    Ok(Plan {
        arguments: vec![name.clone()],
        name,
        program: PathBuf::new(),
        environment: environment(directory),
        directory: directory.into(),
        descriptors: 0,
        membership_files: group.essential_membership_files(),
        process_namespace: sandbox.process_namespace,
        network: if sandbox.network == NetworkAccess::None { Network::Empty } else { Network::Host },
        cgroup_namespace: if sandbox.cgroup { Namespace::Host } else { Namespace::Private },
        identity,
        capabilities: sandbox.capabilities.clone(),
        helper: None,
        mounts,
        proc,
        landlock: landlock(sandbox),
        system_calls: system_calls(sandbox),
        heard: Heard::asked_for(),
        open_files: limits.open_files,
    })
}

fn prepare_group(group: &Cgroup, limits: &Limits) -> Result<(), SpawnError> {
    group.create().map_err(SpawnError::Cgroup)?;
    let limits =
        CgroupLimits { memory: Some(limits.memory), processes: Some(limits.processes), ..CgroupLimits::default() };
    group.set_limits(&limits).map_err(SpawnError::Cgroup)
}

fn identity(user: User, block: u32) -> Identity {
    match user {
        User::Dynamic => Identity::User(block),
        User::Namespace => Identity::Namespace { users: ids::whole_block(block), groups: ids::whole_block(block) },
        User::InstanceIds => Identity::LastingNamespace {
            users: ids::instance_ids(block, Path::new("/etc/subuid")),
            groups: ids::instance_ids(block, Path::new("/etc/subgid")),
        },
        User::HostRoot => Identity::HostRoot,
    }
}

fn state_directory(hull_dir: &Path, plugin: &str, name: &str) -> PathBuf {
    hull_dir.join("plugins").join(plugin).join(name)
}

/// The plugin's directory remembers its ids by its owner; its state is below.
fn prepare_state(hull_dir: &Path, plugin: &str, block: u32, state: Option<(&Path, u32)>) -> Result<(), SpawnError> {
    let own = |path: &Path, owner| {
        ids::own_directory(path, owner).map_err(|source| SpawnError::State { path: path.to_owned(), source })
    };
    own(&hull_dir.join("plugins").join(plugin), block)?;
    state.map_or(Ok(()), |(path, owner)| own(path, owner))
}

/// What every sandbox has: the host's programs and libraries to read, and the harmless devices.
fn base_mounts() -> Vec<Mount> {
    let mut mounts = vec![
        bind("/usr".into(), "/usr", Access::Read, Required::Yes),
        bind("/etc/ld.so.cache".into(), "/etc/ld.so.cache", Access::Read, Required::IfThere),
    ];
    for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        match fs::read_link(name) {
            Ok(text) => mounts.push(Mount { kind: MountKind::Link(text), target: name.into() }),
            Err(_) => mounts.push(bind(name.into(), name, Access::Read, Required::IfThere)),
        }
    }
    for name in ["null", "zero", "full", "random", "urandom"] {
        mounts.push(device(&Path::new("/dev").join(name)));
    }
    mounts
}

fn granted_mounts(sandbox: &Sandbox) -> Vec<Mount> {
    let shown_already =
        |path: &Path| path.starts_with("/usr") || path.starts_with("/state") || path.starts_with("/pool");
    let mut mounts: Vec<Mount> = Vec::new();
    for path in sandbox.read.iter().chain(&sandbox.execute).filter(|path| !shown_already(path)) {
        mounts.push(bind(path.clone(), path, Access::Read, Required::IfThere));
    }
    for path in &sandbox.write {
        mounts.push(bind(path.clone(), path, Access::Write, Required::IfThere));
    }
    mounts.extend(sandbox.devices.iter().map(|path| device(path)));
    if !sandbox.execute.is_empty() {
        mounts.push(Mount { kind: MountKind::Memory(TEMPORARY_BYTES), target: "/tmp".into() });
    }
    // What is below something else comes after it.
    mounts.sort_by_key(|mount| mount.target.components().count());
    mounts
}

/// Confines writing and executing, but not for drivers that mount: landlock forbids that; the mount namespace is their wall.
fn landlock(sandbox: &Sandbox) -> Landlock {
    if sandbox.system_calls.iter().any(|name| name == "@all") {
        return Landlock::Nothing;
    }
    if sandbox.system_calls.iter().any(|name| name == "@mount" || name == "mount") {
        return Landlock::Neighbours;
    }
    let mut write: Vec<PathBuf> = ["/dev", "/tmp", "/state", "/pool", "/cgroup", "/proc"].map(PathBuf::from).into();
    write.extend(sandbox.write.iter().cloned());
    let mut execute: Vec<PathBuf> =
        [PROGRAM, "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].map(PathBuf::from).into();
    for path in &sandbox.execute {
        // A link to an interpreter or a busybox needs its target's right; that is where the rule goes by itself.
        execute.push(path.clone());
    }
    Landlock::Files { write, execute }
}

/// What is listed, and what follows from the other grants.
fn system_calls(sandbox: &Sandbox) -> Vec<String> {
    let can = |names: &[&str]| sandbox.capabilities.iter().any(|capability| names.contains(&capability.as_str()));
    let runs = !sandbox.execute.is_empty();
    let changes = runs || sandbox.state || sandbox.pool || !sandbox.write.is_empty();
    let groups = [
        (changes, "@files"),
        (runs, "@processes"),
        (can(&["SETUID", "SETGID", "SETPCAP"]), "@identity"),
        (sandbox.network != NetworkAccess::None, "@network"),
    ];
    let followed = groups.into_iter().filter(|(granted, _)| *granted).map(|(_, name)| name.to_owned());
    sandbox.system_calls.iter().cloned().chain(followed).collect()
}

fn environment(home: &str) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("HOME".to_owned(), home.to_owned()),
    ];
    if let Ok(level) = std::env::var("HULL_LOG") {
        pairs.push(("HULL_LOG".to_owned(), level));
    }
    pairs
}

fn program_mount(executable: &Path) -> Mount {
    bind(executable.to_owned(), PROGRAM, Access::Read, Required::Yes)
}

fn bind(source: PathBuf, target: impl AsRef<Path>, access: Access, required: Required) -> Mount {
    Mount { kind: MountKind::Bind { source, access, required }, target: target.as_ref().to_owned() }
}

fn device(path: &Path) -> Mount {
    Mount { kind: MountKind::Device(path.to_owned()), target: path.to_owned() }
}
