//! A sandbox as data: what the stage carries out, step by step.

use std::path::PathBuf;

use hull_plugin::Namespace;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// For errors, and the host name inside.
    pub(crate) name: String,
    /// The executable as the program sees it.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// How many descriptors from 3 on it gets.
    pub(crate) descriptors: u32,
    pub(crate) membership_files: Vec<PathBuf>,
    pub(crate) process_namespace: Namespace,
    pub(crate) network: Network,
    pub(crate) cgroup_namespace: Namespace,
    pub(crate) identity: Identity,
    /// Without `CAP_`.
    pub(crate) capabilities: Vec<String>,
    pub(crate) helper: Option<Helper>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) proc: Proc,
    pub(crate) landlock: Landlock,
    /// Names and groups, on top of the base list.
    pub(crate) system_calls: Vec<String>,
    pub(crate) heard: Heard,
    pub(crate) open_files: u64,
}

/// A program that is started before the walls that are inherited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Helper {
    /// As it is seen inside.
    pub(crate) program: PathBuf,
    pub(crate) capabilities: Vec<String>,
}

/// Which system calls the filter tells hulld of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Heard {
    /// Those it refuses: they go to the log.
    Refused,
    /// Those it allows: their names go to a file in this directory.
    Used(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Network {
    Empty,
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Identity {
    /// This user and group of the host, without any privilege.
    User(u32),
    /// Root of a user namespace with these maps.
    Namespace {
        users: Vec<IdLine>,
        groups: Vec<IdLine>,
    },
    /// The same, made once and entered again by every later process: what lives in namespaces below it knows no other.
    LastingNamespace {
        users: Vec<IdLine>,
        groups: Vec<IdLine>,
    },
    HostRoot,
}

impl Identity {
    /// The maps of a user namespace of its own.
    pub(crate) fn maps(&self) -> Option<(&[IdLine], &[IdLine])> {
        match self {
            Self::Namespace { users, groups } | Self::LastingNamespace { users, groups } => Some((users, groups)),
            Self::User(_) | Self::HostRoot => None,
        }
    }
}

/// A line of `uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdLine {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) kind: MountKind,
    /// Absolute, inside.
    pub(crate) target: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountKind {
    /// A host path, with what is mounted below it.
    Bind {
        source: PathBuf,
        access: Access,
        required: Required,
    },
    Device(PathBuf),
    /// A link with this text.
    Link(PathBuf),
    /// Memory of its own, at most so many bytes.
    Memory(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    Read,
    Write,
    /// Read and write, but nothing in it can be executed.
    Data,
}

/// Whether a missing source is an error or passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Required {
    Yes,
    IfThere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Proc {
    None,
    /// For users whom the kernel itself keeps from writing what matters.
    Writable,
    /// For host root.
    ReadOnly,
}

/// What landlock confines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Landlock {
    /// Nothing: the program looks into processes that are not its own.
    Nothing,
    /// Abstract sockets and signals: nothing of either kind outside. Leaves mounting alone.
    Neighbours,
    /// The same, and files: only what is listed may be written and executed; everything that is there may be read.
    Files { write: Vec<PathBuf>, execute: Vec<PathBuf> },
}
