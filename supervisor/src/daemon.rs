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
use std::time::Duration;

use hull_sys::schedule::take_short_turns;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgroups::Cgroups;
use crate::events::Bus;
use crate::gates::Gates;
use crate::gateway::{self, Gateways};
use crate::handles::Handles;
use crate::hull::{Hull, Parts};
use crate::images::Images;
use crate::instances::{self, Instances};
use crate::keeper::{KeeperClient, LEAVES, SUPERVISOR_FD, Shutdown, Verdict};
use crate::networks::Networks;
use crate::operations::Registry;
use crate::plans::Leftovers;
use crate::plugins::{self, Plugins};
use crate::profiles::Profiles;
use crate::recovery::{self, Recovery};
use crate::server::Server;
use crate::state::{Database, Journal};
use crate::storage::Storage;
use crate::upgrade::{self, Upgrade};
use crate::warnings::Warnings;

/// Tells the keeper that starting again is no use (`EX_CONFIG`).
const HOPELESS: u8 = 78;

/// How long the kernel may take to forget the plugins that have ended.
const FORGOTTEN_WITHIN: std::time::Duration = std::time::Duration::from_millis(500);

/// How long blocking work may go on when everything else has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a supervisor ends that was not killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With all of hulld.
    Daemon(Shutdown),
    /// In favour of its successor.
    Left,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the supervisor until the keeper tells it to end.
pub fn main() -> ExitCode {
    crate::logging::init();
    // Started through a descriptor, the process is named after its number.
    let _ = nix::sys::prctl::set_name(c"hulld");
    let keeper = match hull_sys::message::inherited(SUPERVISOR_FD) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "the supervisor is started by the keeper, not by hand");
            return ExitCode::from(HOPELESS);
        }
    };
    let directory = PathBuf::from(std::env::var_os("HULL_DIR").unwrap_or_else(|| "/var/lib/hull".into()));
    // Drivers, mounts and successors are told of it, wherever they are.
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    let lock = match prepare(&directory) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!(error = plugins::chain(&*error), directory = %directory.display(), "cannot use HULL_DIR");
            return ExitCode::from(HOPELESS);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .on_thread_start(|| {
            let _ = take_short_turns(); // it works without, only later on a busy machine
        })
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            // On a worker: what it waits for would else wake another thread each time.
            let running = runtime.spawn(async move { run(&directory, keeper).await });
            let result = runtime.block_on(running).unwrap_or_else(|error| Err(error.into()));
            runtime.shutdown_timeout(LAST_WORDS);
            result
        }
        Err(error) => Err(error.into()),
    };
    drop(lock);
    match result {
        Ok(End::Daemon(_)) => ExitCode::SUCCESS,
        Ok(End::Left) => ExitCode::from(LEAVES),
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
    locked.map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => format!("another hulld uses `{}`", directory.display()).into(),
        error => format!("cannot lock `{}`: {error}", directory.join("lock").display()).into(),
    })
}

async fn run(directory: &Path, keeper: OwnedFd) -> Result<End, Failure> {
    let keeper = KeeperClient::connect(keeper)?;
    let executable = crate::sys::own_program()?;
    let listener = gateway::listen(directory, &keeper).await?;
    let cgroups = Cgroups::open(directory)?;
    let hull = assemble(directory, &executable, &keeper, cgroups.clone()).await?;
    let ended = instances::adopt_all(&hull).await?;
    recovery::take_up(&hull, ended).await?;
    go_on(&hull).await;

    let stop = CancellationToken::new();
    // From here on clients are answered: a successor that cannot do that has failed before.
    keeper.ready().await?;
    let settings = gateway::Settings { hull_dir: directory.to_owned(), executable, cgroups: cgroups.clone(), keeper };
    let gateways = Gateways::open(settings, listener, crate::api::router(hull.clone()), stop.clone()).await?;
    let serving = tokio::spawn(gateways.clone().serve());
    hull.upgrade.opened(gateways);
    hull.server.set_ready();
    tracing::info!(directory = %directory.display(), version = env!("CARGO_PKG_VERSION"), "hulld is ready");

    let how = asked_to_end(&hull).await;
    tracing::info!(?how, "hulld ends");
    if how == End::Left {
        // The gateways, what runs in instances and the services stay; the plugins' processes are started anew.
        hull.plugins.shutdown().await;
        return Ok(how);
    }
    if how == End::Daemon(Shutdown::WithInstances) {
        instances::stop_all(&hull).await;
    }
    stop.cancel();
    serving.await?;
    hull.plugins.shutdown().await;
    // Those of running instances and services have processes, and stay.
    cgroups.all().tidy_until_gone("plugins", FORGOTTEN_WITHIN).await;
    Ok(how)
}

/// What an earlier supervisor has left to go on with: who listens to events, and operations.
async fn go_on(hull: &Hull) {
    let ((), kept) = tokio::join!(crate::events::go_on(hull), hull.operations.take_over());
    for kept in kept {
        let Some(kept) = instances::go_on_with_commands(hull, kept) else { continue };
        let Some(kept) = upgrade::go_on(hull, kept) else { continue };
        tracing::warn!(operation = %kept.id(), work = %kept.work, "this hulld does not know how to go on with an operation");
        let lost = || crate::api::ApiError::internal("this hulld does not know how to go on with it");
        hull.operations.go_on(kept, |_| async move { Err(lost()) });
    }
}

/// Everything in memory, from the database.
async fn assemble(
    directory: &Path,
    executable: &Path,
    keeper: &KeeperClient,
    cgroups: Cgroups,
) -> Result<Hull, Failure> {
    let events = Bus::new();
    let after_failure = matches!(keeper.verdict().await?, Some(Verdict::FellBack { was_ready: false, .. }));
    let loading = load(directory.to_owned(), events.clone(), after_failure);
    let handles = Handles::default();
    let settings = plugins::Settings {
        hull_dir: directory.to_owned(),
        executable: executable.to_owned(),
        keeper: keeper.clone(),
        cgroups: cgroups.clone(),
        handles: Arc::new(handles.clone()),
        rest_after: plugins::REST_AFTER,
    };
    let starting = async { Plugins::start(settings).await.map_err(Failure::from) };
    let ((database, nouns), plugins) = tokio::try_join!(loading, starting)?;
    let (server, profiles, storage, networks, images, instances, warnings) = nouns;
    let hull = Hull::new(Parts {
        directory: directory.to_owned(),
        journal: Journal::new(database.clone()),
        leftovers: Leftovers::default(),
        database,
        operations: Registry::new(events.clone(), keeper.clone()),
        events,
        tasks: TaskTracker::new(),
        gates: Gates::default(),
        recovery: Recovery::default(),
        plugins,
        cgroups,
        keeper: keeper.clone(),
        server,
        upgrade: Upgrade::new(executable),
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

type Nouns = (Server, Profiles, Storage, Networks, Images, Instances, Warnings);

async fn load(directory: PathBuf, events: Bus, after_failure: bool) -> Result<(Arc<Database>, Nouns), Failure> {
    let path = directory.join("database/hull.db");
    tokio::task::spawn_blocking(move || {
        if after_failure {
            Database::restore(&path)?;
        }
        let database = Arc::new(Database::open(&path)?);
        let nouns = (
            Server::load(&database)?,
            Profiles::load(&database)?,
            Storage::load(&database)?,
            Networks::load(&database)?,
            Images::load(&directory, &database)?,
            Instances::load(&database)?,
            Warnings::load(&database, events)?,
        );
        Ok((database, nouns))
    })
    .await?
}

/// By the keeper's signal, or by a client of the API.
async fn asked_to_end(hull: &Hull) -> End {
    let mut keeper = hull.keeper.shutdown();
    let asked = async {
        match keeper.wait_for(Option::is_some).await {
            Ok(how) => (*how).unwrap_or(Shutdown::DaemonOnly),
            Err(_) => Shutdown::DaemonOnly, // the keeper is gone: so is the way to be started again
        }
    };
    tokio::select! {
        how = asked => End::Daemon(how),
        () = hull.server.shutdown_requested() => End::Daemon(Shutdown::WithInstances),
        () = hull.upgrade.left() => End::Left,
    }
}
