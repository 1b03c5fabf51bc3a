//! All processes seen from outside: what each has done, how it is, and how much it takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hull_api::PluginStatistics;
use hull_plugin::{Code, Description, Manifest, PluginKind, PoolName};

use super::process::{Bounds, Process, Status};
use super::registry::{PluginState, Plugins, plugin_name, state_of};
use super::statistics::{MethodFigures, code_word, proportional_memory};

/// The sign of life expected of a process that is asked how it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// How much work a process takes: calls that run, and calls that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub running: usize,
    pub waiting: usize,
}

/// One process as an observer sees it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// `storage-dir@default`
    pub name: String,
    pub plugin: String,
    pub pool: Option<PoolName>,
    pub state: PluginState,
    /// The oldest first: when, and how.
    pub ends: Vec<(DateTime<Utc>, String)>,
    /// The last lines it wrote, or the one before it if it does not run.
    pub last_lines: Vec<String>,
    pub version: String,
    /// The contract's version that is spoken with it; 0 if it does not run.
    pub contract: u32,
    /// When it was ready.
    pub since: Option<DateTime<Utc>>,
}

/// One process that was asked how it is.
#[derive(Clone, Debug)]
pub struct Examined {
    pub observed: Observed,
    /// Why it is not well; `None` also for one that does not run.
    pub complaint: Option<String>,
    /// Where in the kernel a process that is not well is, the innermost call first.
    pub kernel_stack: Vec<String>,
}

/// The calls of one method, for metrics.
#[derive(Clone, Debug)]
pub(crate) struct ObservedMethod {
    pub(crate) process: String,
    pub(crate) method: &'static str,
    pub(crate) calls: u64,
    pub(crate) errors: Vec<(String, u64)>,
    pub(crate) in_flight: u64,
    pub(crate) p50_microseconds: u64,
    pub(crate) p99_microseconds: u64,
}

impl Plugins {
    /// What each process has done, by its name. Memory is asked for now, of all at the same time and within a bound.
    pub async fn statistics(&self) -> BTreeMap<String, PluginStatistics> {
        let figures = self.processes().into_iter().map(|process| async move {
            let mut figures = process.spec.statistics.figures();
            figures.queued = process.queue.load().1 as u64;
            if let Status::Ready(session) = process.status() {
                figures.memory_bytes = proportional_memory(session.pid).await;
            }
            (process.spec.name.to_string(), figures)
        });
        futures::future::join_all(figures).await.into_iter().collect()
    }

    /// How each process is and was.
    pub fn observed(&self) -> Vec<Observed> {
        self.processes().iter().map(|process| observed(process)).collect()
    }

    /// The same, and those that run are asked how they are: all at the same time, within a second.
    pub async fn examined(&self) -> Vec<Examined> {
        let examine = self.processes().into_iter().map(|process| async move {
            let observed = observed(&process);
            let Status::Ready(session) = process.status() else {
                return Examined { observed, complaint: None, kernel_stack: Vec::new() };
            };
            let complaint = session.health(SIGN_OF_LIFE).await.err().map(|error| error.to_string());
            let kernel_stack = if complaint.is_some() { kernel_stack(session.pid) } else { Vec::new() };
            Examined { observed, complaint, kernel_stack }
        });
        futures::future::join_all(examine).await
    }

    /// The manifests and programs of all installed plugins, by name.
    pub fn manifests(&self) -> Vec<(Manifest, PathBuf)> {
        self.list().into_iter().map(|summary| (summary.manifest, summary.executable)).collect()
    }

    /// The figures of each method of each process.
    pub(crate) fn methods(&self) -> Vec<ObservedMethod> {
        let of = |process: &Arc<Process>| {
            let name = process.spec.name.to_string();
            let method = |figures: MethodFigures| ObservedMethod {
                process: name.clone(),
                method: figures.name,
                calls: figures.calls,
                errors: figures.errors.into_iter().map(|(code, count): (Code, u64)| (code_word(code), count)).collect(),
                in_flight: figures.in_flight,
                p50_microseconds: figures.p50_microseconds,
                p99_microseconds: figures.p99_microseconds,
            };
            process.spec.statistics.methods().into_iter().map(method).collect::<Vec<_>>()
        };
        self.processes().iter().flat_map(of).collect()
    }

    /// How much one process of a driver takes at a time; asks nobody, so that a driver that hangs delays nobody here.
    pub fn room(&self, kind: PluginKind, driver: &str, pool: Option<&PoolName>) -> Room {
        let plugin = plugin_name(kind, driver);
        let process = self
            .processes()
            .into_iter()
            .find(|one| one.spec.name.plugin == plugin && one.spec.name.pool.as_ref() == pool);
        let running = process.and_then(|process| match process.status() {
            Status::Ready(session) => Some(session.description.clone()),
            _ => None,
        });
        let description: Arc<Description> = running.or_else(|| self.known(&plugin)).unwrap_or_default();
        let Bounds { concurrency, queue } = Bounds::from(&*description);
        Room { running: concurrency, waiting: queue }
    }
}

/// The kernel shows no stack of a process that runs in user space.
fn kernel_stack(pid: i32) -> Vec<String> {
    let stack = std::fs::read_to_string(format!("/proc/{pid}/stack")).unwrap_or_default();
    stack.lines().filter_map(|line| line.split("] ").nth(1)).map(str::to_owned).collect()
}

fn observed(process: &Process) -> Observed {
    let (status, facts) = (process.status(), process.facts());
    let session = if let Status::Ready(session) = &status { Some(session) } else { None };
    Observed {
        name: process.spec.name.to_string(),
        plugin: process.spec.name.plugin.clone(),
        pool: process.spec.name.pool.clone(),
        ends: process.spec.statistics.ends().into_iter().map(|end| (end.at, end.how)).collect(),
        last_lines: session.map_or_else(|| process.last_lines(), |session| session.output.last_lines()),
        version: facts.installed.manifest.version.clone(),
        contract: session.map_or(0, |session| session.contract),
        since: facts.since.filter(|_| session.is_some()).map(DateTime::from),
        state: state_of(&status),
    }
}
