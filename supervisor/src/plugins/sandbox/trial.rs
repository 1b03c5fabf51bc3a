//! Trying a sandbox out: any program in the walls that a manifest, one of its services or the gateway would get.
//!
//! For tests of the walls themselves, and of a plugin's own: nothing is greeted, nobody answers its channels; what the
//! program writes is collected, and how it ended.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hull_plugin::{Manifest, PluginKind, PoolName};
use hull_sys::message::packet_pair;
use nix::fcntl::OFlag;

use super::build::plugin_plan;
use super::plan::Plan;
use super::spawn::{SpawnError, Target, free_slot, spawn};
use super::{gateway_plan, service_plan};
use crate::plugins::process::{Installed, ProcessName, Spec};
use crate::plugins::registry::{Environment, Settings, chain, describe_status};

/// How much output is collected.
const OUTPUT: u64 = 1 << 20;

/// Whose walls.
#[derive(Clone, Debug)]
pub enum Walls {
    Plugin(Manifest),
    /// A service of the plugin, by name; the program is put in the place of the service's own.
    Service(Manifest, String),
    Gateway,
}

/// A program and the walls it is to run in.
pub struct Trial {
    pub walls: Walls,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// The pool's directory, if the walls are a storage driver's.
    pub pool: Option<PathBuf>,
    /// After which it is killed.
    pub patience: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In words.
    pub end: String,
    pub output: String,
}

impl Trial {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// In words: the sandbox cannot be built.
    pub async fn run(self, settings: Settings) -> Result<Outcome, String> {
        self.attempt(settings).await.map_err(|error| chain(&error))
    }

    async fn attempt(self, settings: Settings) -> Result<Outcome, SpawnError> {
        let stage = settings.executable.clone();
        let (plan, environment) = self.plan(settings)?;
        let ends: Vec<_> = (0..plan.descriptors).map(|_| packet_pair()).collect::<Result<_, _>>()?;
        let theirs: Vec<_> = ends.iter().map(|(_, theirs)| theirs.as_fd()).collect();
        let (output, their_output) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        nix::fcntl::fcntl(&their_output, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_WRONLY))?;
        let mut child = spawn(&stage, &plan, &theirs, their_output.as_fd(), Target::Supervisor).await?;
        drop(their_output);
        child.take_refusals().map(|refusals| environment.tasks.spawn(refusals.follow()));
        let collected = environment.tasks.spawn(crate::sys::read_pipe(output, OUTPUT));
        if tokio::time::timeout(self.patience, child.exited()).await.is_err() {
            child.kill();
            child.exited().await;
        }
        let end = child.status().map_or("nobody knows how it ended".into(), describe_status);
        let output = collected.await.map_err(std::io::Error::other)??;
        Ok(Outcome { end, output: String::from_utf8_lossy(&output).into_owned() })
    }

    fn plan(&self, settings: Settings) -> Result<(Plan, Arc<Environment>), SpawnError> {
        let environment = Environment::new(settings).map_err(std::io::Error::other)?;
        let environment = Arc::new(environment);
        let spec = |manifest: &Manifest| Spec {
            name: ProcessName { plugin: manifest.name.clone(), pool: self.pool_of(manifest) },
            installed: Arc::new(Installed {
                manifest: manifest.clone(),
                executable: self.program.clone(),
                number: None,
                files: Vec::new(),
                fallback: None,
            }),
            pool_source: self.pool.clone(),
            environment: environment.clone(),
            statistics: Arc::default(),
        };
        let mut plan = match &self.walls {
            Walls::Plugin(manifest) => plugin_plan(&spec(manifest), free_slot(&[]))?,
            Walls::Service(manifest, name) => {
                let mut manifest = manifest.clone();
                for service in manifest.services.iter_mut().filter(|service| service.name == *name) {
                    service.program.clone_from(&self.program);
                }
                service_plan(&spec(&manifest), name, name, &[])?
            }
            Walls::Gateway => gateway_plan(&environment.hull_dir, &environment.cgroups, &self.program)?,
        };
        plan.arguments.extend_from_slice(&self.arguments);
        Ok((plan, environment))
    }

    fn pool_of(&self, manifest: &Manifest) -> Option<PoolName> {
        (manifest.kind == PluginKind::Storage).then(|| PoolName::new("trial").ok()).flatten()
    }
}
