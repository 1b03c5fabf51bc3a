//! The supervisor's process: from an empty directory, or whatever a crash has left, to an API that answers.
//!
//! Starting needs nothing: no pool, network, driver or image is asked for before the API answers. What a crash has cut is
//! taken up beside it, with the objects concerned claimed so that nobody meets them half-made.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgroups::Cgroups;
use crate::events::Bus;
use crate::gates::Gates;
use crate::gateway;
use crate::handles::Handles;
use crate::hull::{Hull, Parts};
use crate::images::Images;
use crate::instances::{self, Instances};
use crate::keeper::{KeeperClient, SUPERVISOR_FD, Shutdown};
use crate::networks::Networks;
use crate::operations::Registry;
use crate::plugins::{self, Plugins};
use crate::profiles::Profiles;
use crate::recovery::{self, Recovery};
use crate::server::Server;
use crate::state::{Database, Journal};
use crate::storage::Storage;
use crate::warnings::Warnings;

/// Tells the keeper that starting again is no use (`EX_CONFIG`).
const HOPELESS: u8 = 78;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the supervisor until the keeper tells it to end.
pub fn main() -> ExitCode {
    crate::logging::init();
    let keeper = match hull_sys::message::inherited(SUPERVISOR_FD) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "the supervisor is started by the keeper, not by hand");
            return ExitCode::from(HOPELESS);
        }
    };
    let directory = PathBuf::from(std::env::var_os("HULL_DIR").unwrap_or_else(|| "/var/lib/hull".into()));
    let lock = match prepare(&directory) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!(error = plugins::chain(&*error), directory = %directory.display(), "cannot use HULL_DIR");
            return ExitCode::from(HOPELESS);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(16).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&directory, keeper)),
        Err(error) => Err(error.into()),
    };
    drop(lock);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = plugins::chain(&*error), "hulld cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// The directories, and the lock that makes this the only supervisor on them.
fn prepare(directory: &Path) -> Result<Flock<File>, Failure> {
    // Group `hull` gets through to the socket, and nobody to anything else.
    let folders = [
        ("", 0o711),
        ("database", 0o700),
        ("images", 0o700),
        ("logs", 0o700),
        ("storage-pools", 0o700),
        ("plugins", 0o700),
    ];
    for (name, mode) in folders {
        let path = directory.join(name);
        let given = name.is_empty() && path.exists(); // then its mode is the administrator's
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(&path)?;
        if !given {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        }
    }
    let file = File::options().create(true).append(true).open(directory.join("lock"))?;
    // A predecessor that was killed this moment gives the lock back when the kernel has buried it.
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    locked.map_err(|(_, error)| format!("another hulld uses `{}` ({error})", directory.display()).into())
}

async fn run(directory: &Path, keeper: OwnedFd) -> Result<(), Failure> {
    let keeper = KeeperClient::connect(keeper)?;
    let executable = std::env::current_exe()?;
    let listener = gateway::listen(directory, &keeper).await?;
    let cgroups = Cgroups::open(directory)?;
    let hull = assemble(directory, &executable, &keeper, cgroups.clone()).await?;
    let ended = instances::adopt_all(&hull).await?;
    recovery::take_up(&hull, ended).await?;

    let stop = CancellationToken::new();
    let settings = gateway::Settings { hull_dir: directory.to_owned(), executable, cgroups: cgroups.clone() };
    let serving = tokio::spawn(gateway::serve(settings, listener, crate::api::router(hull.clone()), stop.clone()));
    keeper.ready().await?;
    hull.server.set_ready();
    tracing::info!(directory = %directory.display(), "hulld is ready");

    let how = asked_to_end(&hull).await;
    tracing::info!(?how, "hulld ends");
    if how == Shutdown::WithInstances {
        instances::stop_all(&hull).await;
    }
    stop.cancel();
    serving.await?;
    hull.plugins.shutdown().await;
    cgroups.all().tidy(); // those of running instances and services have processes, and stay
    Ok(())
}

/// Everything in memory, from the database.
async fn assemble(
    directory: &Path,
    executable: &Path,
    keeper: &KeeperClient,
    cgroups: Cgroups,
) -> Result<Hull, Failure> {
    let path = directory.join("database/hull.db");
    let events = Bus::new();
    let warned = events.clone();
    let (database, nouns) = {
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || -> Result<_, Failure> {
            let database = Arc::new(Database::open(&path)?);
            let nouns = (
                Server::load(&database)?,
                Profiles::load(&database)?,
                Storage::load(&database)?,
                Networks::load(&database)?,
                Images::load(&directory, &database)?,
                Instances::load(&database)?,
                Warnings::load(&database, warned)?,
            );
            Ok((database, nouns))
        })
        .await??
    };
    let handles = Handles::default();
    let settings = plugins::Settings {
        hull_dir: directory.to_owned(),
        executable: executable.to_owned(),
        keeper: keeper.clone(),
        cgroups: cgroups.clone(),
        handles: Arc::new(handles.clone()),
    };
    let plugins = Plugins::start(settings).await?;
    let (server, profiles, storage, networks, images, instances, warnings) = nouns;
    let hull = Hull::new(Parts {
        directory: directory.to_owned(),
        journal: Journal::new(database.clone()),
        database,
        operations: Registry::new(events.clone()),
        events,
        tasks: TaskTracker::new(),
        gates: Gates::default(),
        recovery: Recovery::default(),
        plugins,
        cgroups,
        keeper: keeper.clone(),
        server,
        profiles,
        storage,
        networks,
        images,
        instances,
        warnings,
    });
    handles.set(hull.clone());
    hull.tasks.spawn(plugins::announce_failures(hull.plugins.clone(), hull.events.clone()));
    Ok(hull)
}

/// By the keeper's signal, or by a client of the API.
async fn asked_to_end(hull: &Hull) -> Shutdown {
    let mut keeper = hull.keeper.shutdown();
    let asked = async {
        match keeper.wait_for(Option::is_some).await {
            Ok(how) => (*how).unwrap_or(Shutdown::DaemonOnly),
            Err(_) => Shutdown::DaemonOnly, // the keeper is gone: so is the way to be started again
        }
    };
    tokio::select! {
        how = asked => how,
        () = hull.server.shutdown_requested() => Shutdown::WithInstances,
    }
}
