//! The stage: `hulld --sandbox`, a process with one thread that becomes the program in its sandbox.

use std::convert::Infallible;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use hull_plugin::Namespace;
use hull_sys::fork::Forked;
use hull_sys::message::{blocking_packet_pair, inherited, receive, send};
use hull_sys::sandbox::{Guardian, Side, become_user, close_on_exec_from, keep_over_exec, no_new_privileges, split};
use hull_sys::schedule::take_short_turns;
use hull_sys::spawn::c_string;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::plan::{Helper, IdLine, Identity, Network, Plan};
use super::{rights, root, seccomp};

/// What the stage says to hulld: a process and its number, or why there is none.
pub(super) const STARTED: u8 = 0;
pub(super) const FAILED: u8 = 1;
/// The listening end of the filter.
pub(super) const LISTENING: u8 = 2;

/// What failed, with its cause, for a line of text.
pub(super) struct StageError(String);

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) trait Context<T> {
    fn during(self, what: impl fmt::Display) -> Result<T, StageError>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, StageError> {
        self.map_err(|error| StageError(format!("{what}: {error}")))
    }
}

/// `hulld --sandbox COUNT supervisor|keeper`: the program's descriptors, then the plan, then the way back to hulld.
pub fn main(arguments: &[String]) -> ExitCode {
    let count: i32 = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (Ok(plan), Ok(status)) = (inherited(3 + count), inherited(4 + count)) else {
        eprintln!("hulld --sandbox is for hulld's own use");
        return ExitCode::from(64); // EX_USAGE
    };
    let guardian =
        if arguments.get(1).is_some_and(|word| word == "keeper") { Guardian::This } else { Guardian::Parent };
    let namespace = if arguments.get(2).is_some_and(|word| word == "enter") { inherited(5 + count).ok() } else { None };
    match run(plan, &status, namespace, guardian) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut said = vec![FAILED];
            said.extend(error.0.bytes().take(4000));
            // hulld has gone: nobody wants to know.
            let _ = send(status.as_fd(), &said, &[]);
            ExitCode::FAILURE
        }
    }
}

/// In the stage itself this returns when the child is on its way; in the child it returns only when something failed.
fn run(plan: OwnedFd, status: &OwnedFd, namespace: Option<OwnedFd>, guardian: Guardian) -> Result<(), StageError> {
    nix::sys::stat::umask(Mode::from_bits_retain(0o022)); // hulld's own is for hulld's files
    let plan: Plan = serde_json::from_reader(fs::File::from(plan)).during("cannot read the plan")?;
    for file in &plan.membership_files {
        fs::write(file, "0").during(format_args!("cannot enter `{}`", file.display()))?;
    }
    let (ours, theirs) = blocking_packet_pair().during("socketpair")?;
    match split(first_namespaces(&plan).bits(), guardian).during("cannot make namespaces")? {
        Side::Child => {
            drop(ours);
            let helper = build(&plan, &theirs, namespace)?;
            exec(&plan, status, helper)
        }
        Side::Parent { child, process } => {
            drop(theirs);
            let mut said = vec![STARTED];
            said.extend(child.to_le_bytes());
            send(status.as_fd(), &said, &[process]).during("cannot report to hulld")?;
            if namespace.is_some() { Ok(()) } else { map_ids(&plan, child, &ours) }
        }
    }
}

/// Those that must be there while the mounts are made, by the host's root.
fn first_namespaces(plan: &Plan) -> CloneFlags {
    let mut flags = CloneFlags::CLONE_NEWNS;
    if plan.process_namespace == Namespace::Private {
        flags |= CloneFlags::CLONE_NEWPID;
    }
    if plan.identity.maps().is_none() {
        flags |= other_namespaces(plan);
    }
    flags
}

/// Those that belong to the plugin's own user namespace if it has one.
fn other_namespaces(plan: &Plan) -> CloneFlags {
    let mut flags = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if plan.network == Network::Empty {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    if plan.cgroup_namespace == Namespace::Private {
        flags |= CloneFlags::CLONE_NEWCGROUP;
    }
    flags
}

/// Writes the child's id maps when it has made its user namespace.
fn map_ids(plan: &Plan, child: i32, socket: &OwnedFd) -> Result<(), StageError> {
    let Some((users, groups)) = plan.identity.maps() else { return Ok(()) };
    let (length, _) = receive(socket.as_fd(), &mut [0; 1]).during("the child")?;
    if length == 0 {
        return Ok(()); // it has said itself what failed
    }
    fs::write(format!("/proc/{child}/uid_map"), lines(users)).during("cannot map users")?;
    fs::write(format!("/proc/{child}/gid_map"), lines(groups)).during("cannot map groups")?;
    send(socket.as_fd(), b"m", &[]).during("the child")
}

fn lines(map: &[IdLine]) -> String {
    map.iter().map(|IdLine { inside, outside, count }| format!("{inside} {outside} {count}\n")).collect()
}

/// Order matters: mounts need root, capabilities go before the walls that forbid changing them, seccomp comes last. The
/// helper is started before the walls that it would inherit; returns the socket to it.
fn build(plan: &Plan, stage: &OwnedFd, namespace: Option<OwnedFd>) -> Result<Option<OwnedFd>, StageError> {
    root::make(plan)?;
    rights::bound_files(plan.open_files)?;
    let (user, group) = match &plan.identity {
        Identity::HostRoot => (0, 0),
        Identity::User(id) => (*id, *id),
        Identity::Namespace { .. } | Identity::LastingNamespace { .. } => {
            match namespace {
                Some(made) => enter_again(plan, &made)?,
                None => enter_user_namespace(plan, stage)?,
            }
            (0, 0)
        }
    };
    nix::unistd::sethostname(&plan.name).during("cannot set the host name")?;
    let first = plan.helper.as_ref().map_or(&plan.capabilities, |helper| &helper.capabilities);
    rights::bound_capabilities(first)?;
    become_user(user, group).during(format_args!("cannot become user {user}"))?;
    std::env::set_current_dir(&plan.directory).during(format_args!("cannot enter `{}`", plan.directory.display()))?;
    let helper = plan.helper.as_ref().map(|helper| start_helper(helper, user)).transpose()?;
    if helper.is_some() {
        rights::bound_capabilities(&plan.capabilities)?;
    }
    rights::keep_capabilities(&plan.capabilities, user)?;
    if !seccomp::is_open(&plan.system_calls) {
        no_new_privileges().during("cannot set no_new_privs")?;
    }
    rights::landlock(&plan.landlock, plan.process_namespace)?;
    Ok(helper)
}

/// Starts the helper with one end of a socket as its standard input; the other end.
fn start_helper(helper: &Helper, user: u32) -> Result<OwnedFd, StageError> {
    let (ours, theirs) = blocking_packet_pair().during("socketpair")?;
    match hull_sys::fork::fork_into(CloneFlags::empty(), None).during("cannot start its helper")? {
        Forked::Parent(..) => Ok(ours),
        Forked::Child => {
            let Err(error) = become_helper(helper, user, &theirs);
            // The program's end of the socket closes with this: it learns that it has no helper.
            eprintln!("ERROR cannot start the helper `{}`: {error}", helper.program.display());
            hull_sys::fork::exit_now(1)
        }
    }
}

fn become_helper(helper: &Helper, user: u32, socket: &OwnedFd) -> Result<Infallible, StageError> {
    rights::keep_capabilities(&helper.capabilities, user)?;
    let null = fs::File::open("/dev/null").during("cannot open /dev/null")?;
    let redirect = |fd: std::os::fd::BorrowedFd, number| hull_sys::fork::duplicate_onto(fd, number);
    redirect(socket.as_fd(), 0).during("its standard input")?;
    redirect(null.as_fd(), 1).during("its standard output")?;
    close_on_exec_from(3).during("cannot close descriptors")?;
    let program = c_string(helper.program.as_os_str().as_bytes()).during("its path")?;
    let environment: [CString; 0] = [];
    nix::unistd::execve(&program, &[&program], &environment).during("cannot run it")
}

fn enter_user_namespace(plan: &Plan, stage: &OwnedFd) -> Result<(), StageError> {
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | other_namespaces(plan);
    unshare(flags).during("cannot make a user namespace")?;
    send(stage.as_fd(), b"u", &[]).during("the stage")?;
    let (length, _) = receive(stage.as_fd(), &mut [0; 1]).during("the stage")?;
    if length == 0 { Err(StageError("its ids were not mapped".into())) } else { Ok(()) }
}

/// The user namespace that an earlier process of the plugin had, with namespaces of this process's own in it.
fn enter_again(plan: &Plan, made: &OwnedFd) -> Result<(), StageError> {
    nix::sched::setns(made, CloneFlags::CLONE_NEWUSER).during("cannot enter its user namespace")?;
    unshare(CloneFlags::CLONE_NEWNS | other_namespaces(plan)).during("cannot make namespaces in its user namespace")
}

fn exec(plan: &Plan, status: &OwnedFd, helper: Option<OwnedFd>) -> Result<(), StageError> {
    let program = c_string(plan.program.as_os_str().as_bytes()).during("the program's path")?;
    let arguments: Vec<CString> =
        plan.arguments.iter().map(|text| c_string(text.as_bytes())).collect::<Result<_, _>>().during("arguments")?;
    let pairs = plan.environment.iter().map(|(key, value)| c_string(format!("{key}={value}")));
    let environment: Vec<CString> = pairs.collect::<Result<_, _>>().during("environment")?;
    close_on_exec_from(3).during("cannot close descriptors")?;
    let end = 3 + i32::try_from(plan.descriptors).unwrap_or(0);
    if let Some(helper) = &helper {
        // Where the plan was, which has been read.
        hull_sys::fork::duplicate_onto(helper.as_fd(), end).during("the socket to its helper")?;
    }
    for number in 3..end {
        let fd = inherited(number).during("its descriptors")?;
        keep_over_exec(fd.as_fd()).during("its descriptors")?;
        std::mem::forget(fd); // it belongs to the program from now on
    }
    // Its event loop is what others wait for. What it starts takes turns as usual.
    let _ = take_short_turns();
    if let Some(listener) = seccomp::load(plan)? {
        send(status.as_fd(), &[LISTENING], &[listener]).during("cannot report to hulld")?;
    }
    let Err(error) = nix::unistd::execve(&program, &arguments, &environment);
    Err(StageError(format!("cannot run `{}`: {}", plan.program.display(), io::Error::from(error))))
}
