//! The supervisor's life: connect to the keeper, find the plugins, open the API, serve, end.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;

use crate::cgroups::{CgroupError, Cgroups};
use crate::gateway::{self, Gateways, GatewaysError, ListenError};
use crate::keeper::{KeeperClient, SUPERVISOR_FD, Shutdown};
use crate::logging;
use crate::plugins::{HandleSource, Plugins, PluginsError, Settings, chain};

/// Where hulld's state is unless HULL_DIR says otherwise.
const DEFAULT_DIRECTORY: &str = "/var/lib/hull";
/// Starting again would fail the same way: the keeper gives up.
const EXIT_CONFIG: u8 = 78; // EX_CONFIG

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("hulld must be started as root")]
    NotRoot,
    #[error("cannot make the directory `{}`", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("there is no keeper: start `hulld` without arguments")]
    NoKeeper(#[source] std::io::Error),
    #[error("cannot find hulld's own program")]
    Program(#[source] std::io::Error),
    #[error(transparent)]
    Cgroups(#[from] CgroupError),
    #[error(transparent)]
    Plugins(#[from] PluginsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Gateways(#[from] GatewaysError),
    #[error("cannot start the event loop")]
    Runtime(#[source] std::io::Error),
    #[error("{0}")]
    State(String),
}

/// What the supervisor has when its state layer is built.
#[derive(Clone)]
pub struct Foundation {
    pub hull_dir: PathBuf,
    pub keeper: KeeperClient,
    pub cgroups: Cgroups,
    pub plugins: Plugins,
}

/// The layers above: they remember handles, answer the API, and act when hulld ends.
pub trait Application: Sized + Send + Sync + 'static {
    /// What remembers the plugins' objects; opened before any plugin starts.
    fn handles(hull_dir: &std::path::Path) -> Result<Arc<dyn HandleSource>, DaemonError>;
    /// Builds the rest and finishes or undoes what a predecessor left; returns the API.
    fn start(foundation: Foundation) -> impl Future<Output = Result<(Self, Router), DaemonError>> + Send;
    /// Ends in the way asked for. The API is closed already.
    fn stop(self, how: Shutdown) -> impl Future<Output = ()> + Send;
}

/// `hulld --supervisor`.
pub fn main<A: Application>() -> ExitCode {
    logging::init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(DaemonError::Runtime).and_then(|runtime| {
        let ended = runtime.block_on(run::<A>());
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "hulld cannot run");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

async fn run<A: Application>() -> Result<(), DaemonError> {
    let hull_dir = directory()?;
    let keeper = hull_sys::message::inherited(SUPERVISOR_FD).map_err(|error| DaemonError::NoKeeper(error.into()))?;
    let keeper = KeeperClient::connect(keeper).map_err(DaemonError::NoKeeper)?;
    let listener = gateway::bind(&hull_dir, &keeper).await?;
    let cgroups = Cgroups::open(&hull_dir)?;
    let handles = A::handles(&hull_dir)?;
    let executable = std::env::current_exe().map_err(DaemonError::Program)?;
    let settings =
        Settings { hull_dir: hull_dir.clone(), executable, keeper: keeper.clone(), cgroups: cgroups.clone(), handles };
    let plugins = Plugins::start(settings).await?;
    let foundation =
        Foundation { hull_dir, keeper: keeper.clone(), cgroups: cgroups.clone(), plugins: plugins.clone() };
    let (application, router) = A::start(foundation).await?;
    let gateways = Gateways::start(&plugins, listener, router)?;
    if let Err(error) = keeper.ready().await {
        tracing::warn!(%error, "the keeper does not hear that hulld is ready");
    }
    tracing::info!("hulld ready");

    let how = asked_to_end(&keeper).await;
    tracing::info!(?how, "hulld ends");
    gateways.shutdown().await;
    application.stop(how).await;
    plugins.shutdown().await;
    cgroups.all().tidy();
    Ok(())
}

async fn asked_to_end(keeper: &KeeperClient) -> Shutdown {
    let mut shutdown = keeper.shutdown();
    let asked = shutdown.wait_for(Option::is_some).await;
    asked.ok().and_then(|how| *how).unwrap_or(Shutdown::DaemonOnly)
}

fn directory() -> Result<PathBuf, DaemonError> {
    use std::os::unix::fs::DirBuilderExt;
    if !nix::unistd::geteuid().is_root() {
        return Err(DaemonError::NotRoot);
    }
    let path = std::env::var_os("HULL_DIR").map_or_else(|| DEFAULT_DIRECTORY.into(), PathBuf::from);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&path);
    let canonical = made.and_then(|()| path.canonicalize());
    canonical.map_err(|source| DaemonError::Directory { path, source })
}
