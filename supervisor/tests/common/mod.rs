//! A HULL_DIR of its own with the probe plugin, and everything below the state layer.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // each test file uses its part; this is test code

pub(crate) mod hostile;
pub(crate) mod walls;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use hull_plugin::{ConfigMap, Handle, PoolName, Recovered, StoredHandle};
pub(crate) use hulld::cgroups::Cgroups;
pub(crate) use hulld::keeper::KeeperClient;
use hulld::plugins::{HandleSource, Plugins, REST_AFTER, Settings, StorageHandle};

/// hulld's binary and the probe, built once.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let hulld = PathBuf::from(env!("CARGO_BIN_EXE_hulld"));
        let example = |name| hulld.with_file_name("examples").join(name);
        let (probe, hostile) = (example("storage-probe"), example("hostile"));
        assert!(probe.is_file() && hostile.is_file(), "`cargo test` builds the examples: {}", probe.display());
        let place = hulld.with_file_name("hulld-tests");
        std::fs::create_dir_all(&place).unwrap();
        for (from, name) in
            [(&hulld, "hulld"), (&probe, "storage-probe"), (&hostile, "hostile"), (&hostile, "hull-init")]
        {
            let (to, fresh) = (place.join(name), place.join(format!("{name}.{}", std::process::id())));
            std::fs::copy(from, &fresh).unwrap();
            std::fs::rename(&fresh, &to).unwrap(); // parallel tests never see half a program
        }
        place
    })
}

/// One object that every process has to find again.
pub(crate) struct OneObject;

impl HandleSource for OneObject {
    fn handles(&self, _: &str, _: Option<&PoolName>) -> Vec<StoredHandle> {
        vec![StoredHandle { object: "one".into(), handle: Handle { version: 1, data: vec![1] } }]
    }

    fn recovered(&self, _: &str, _: Option<&PoolName>, outcomes: Vec<(String, Recovered)>) {
        // A successor is told once more, of what is new: nothing.
        assert!(outcomes.is_empty() || outcomes == [("one".to_owned(), Recovered::Adopted)], "{outcomes:?}");
    }

    fn pool_config(&self, _: &PoolName) -> Option<ConfigMap> {
        Some(ConfigMap::new())
    }
}

pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) plugins: Plugins,
    pub(crate) keeper: KeeperClient,
    pub(crate) cgroups: Cgroups,
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::with(std::sync::Arc::new(hulld::plugins::NoHandles)).await
    }

    pub(crate) async fn with(handles: std::sync::Arc<dyn HandleSource>) -> Self {
        Self::resting(handles, REST_AFTER).await
    }

    /// Whose plugins are stopped when nobody has called them for so long.
    pub(crate) async fn resting(handles: std::sync::Arc<dyn HandleSource>, rest_after: Duration) -> Self {
        hulld::logging::init();
        let directory = tempfile::tempdir().unwrap();
        let (socket, _thread) = hulld::keeper::in_thread().unwrap();
        let keeper = KeeperClient::connect(socket).unwrap();
        let cgroups = Cgroups::open(directory.path()).unwrap();
        std::fs::create_dir(directory.path().join("pool")).unwrap();
        let plugins = plugins(directory.path(), &keeper, &cgroups, handles, rest_after).await;
        Self { directory, plugins, keeper, cgroups }
    }

    /// As after a restart of hulld.
    pub(crate) async fn restart(&mut self) {
        self.plugins.shutdown().await;
        let handles = std::sync::Arc::new(hulld::plugins::NoHandles);
        self.plugins = plugins(self.directory.path(), &self.keeper, &self.cgroups, handles, REST_AFTER).await;
    }

    /// The probe on a pool; a namespace's root must be able to write in it.
    pub(crate) fn pool(&self) -> StorageHandle {
        self.pool_named("default")
    }

    pub(crate) fn pool_named(&self, name: &str) -> StorageHandle {
        let source = self.directory.path().join("pool");
        Command::new("chmod").arg("777").arg(&source).status().unwrap();
        self.plugins.storage(&name.parse().unwrap(), "probe", &source).unwrap()
    }

    /// A version of the probe with a program that the manifest says is `version`, and lines on top of the usual manifest.
    pub(crate) fn version(&self, version: &str, change: impl Fn(String) -> String) -> PathBuf {
        let folder = self.directory.path().join(format!("version-{version}"));
        std::fs::create_dir(&folder).unwrap();
        let manifest = include_str!("../fixtures/storage-probe.toml").replace("\"0.1.0\"", &format!("\"{version}\""));
        std::fs::write(folder.join("plugin.toml"), change(manifest)).unwrap();
        std::fs::copy(programs().join("storage-probe"), folder.join("storage-probe")).unwrap();
        folder
    }

    /// Ends everything and proves that nothing is left.
    pub(crate) async fn close(self) {
        self.plugins.shutdown().await;
        self.cgroups.all().kill_all(std::time::Duration::from_secs(5)).await.unwrap();
        self.cgroups.all().remove().await.unwrap();
    }
}

async fn plugins(
    directory: &Path,
    keeper: &KeeperClient,
    cgroups: &Cgroups,
    handles: std::sync::Arc<dyn HandleSource>,
    rest_after: Duration,
) -> Plugins {
    let settings = Settings {
        hull_dir: directory.to_owned(),
        executable: programs().join("hulld"),
        keeper: keeper.clone(),
        cgroups: cgroups.clone(),
        handles,
        rest_after,
    };
    Plugins::start(settings).await.unwrap()
}

/// Gives the probe an order; the answer is a number or the text of what happened.
pub(crate) async fn order(pool: &StorageHandle, order: &str) -> Result<u64, String> {
    let volume = format!("order/{order}").parse().unwrap();
    pool.volume_usage(&volume).await.map(|usage| usage.bytes_used).map_err(|error| error.to_string())
}
