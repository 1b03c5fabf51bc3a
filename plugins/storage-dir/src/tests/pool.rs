//! A fresh pool with its driver.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hull_plugin::storage::{ContentKind, ImageFiles, NewVolume, StorageDriverClient, VolumeSource};
use hull_plugin::testing::{self, Harness, context};
use hull_plugin::{DriverError, FileFd, OperationId, PoolName, VolumeName};
use tempfile::TempDir;

use crate::driver::DirDriver;

pub(super) struct TestPool {
    pub(super) place: TempDir,
    pub(super) harness: Harness<StorageDriverClient>,
}

/// Runs a test with an open pool, and sees that it leaves nothing half-made.
pub(super) fn with_pool(test: impl AsyncFnOnce(&TestPool)) {
    with_driver(async |pool| {
        pool.create_pool("default").await.unwrap();
        test(pool).await;
        pool.assert_nothing_left().await;
    });
}

/// Runs a test with a driver whose directory is still empty.
pub(super) fn with_driver(test: impl AsyncFnOnce(&TestPool)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("pool")).unwrap();
        let harness = start(place.path());
        test(&TestPool { place, harness }).await;
    });
}

fn start(place: &Path) -> Harness<StorageDriverClient> {
    let root = place.join("pool");
    testing::storage(move |host| DirDriver::new(host, root)).unwrap()
}

pub(super) fn volume(name: &str) -> VolumeName {
    VolumeName::new(name).unwrap()
}

pub(super) fn op() -> OperationId {
    OperationId::random()
}

pub(super) const MANY: u64 = 1 << 40;

impl TestPool {
    /// A second process for the same pool, as after a crash.
    pub(super) async fn restarted(&self) -> Harness<StorageDriverClient> {
        let harness = start(self.place.path());
        harness.driver.open_pool(context(), name("default"), Default::default()).await.unwrap().unwrap();
        harness
    }

    pub(super) async fn create_pool(&self, pool: &str) -> Result<(), DriverError> {
        let config = [("source".to_owned(), "/somewhere".to_owned())].into();
        let result = self.harness.driver.create_pool(context(), op(), name(pool), config).await.unwrap();
        result.map(|config| assert_eq!(config["source"], "/somewhere"))
    }

    pub(super) async fn create(&self, volume_name: &str, source: VolumeSource) -> Result<(), DriverError> {
        let new = NewVolume {
            name: volume(volume_name),
            content: ContentKind::FileSystem,
            config: Default::default(),
            source,
        };
        self.harness.driver.create_volume(context(), op(), new).await.unwrap().map(|handle| assert_eq!(handle, None))
    }

    pub(super) async fn unpack(&self, volume: &str, metadata: &Path, rootfs: Option<&Path>) -> Result<(), DriverError> {
        self.unpack_within(volume, metadata, rootfs, (MANY, MANY)).await
    }

    /// With limits on bytes and inodes.
    pub(super) async fn unpack_within(
        &self,
        volume: &str,
        metadata: &Path,
        rootfs: Option<&Path>,
        (max_bytes, max_inodes): (u64, u64),
    ) -> Result<(), DriverError> {
        let open = |path: &Path| FileFd::new(File::open(path).unwrap());
        let files = ImageFiles { metadata: open(metadata), rootfs: rootfs.map(open), max_bytes, max_inodes };
        self.create(volume, VolumeSource::Image(files)).await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), DriverError> {
        self.harness.driver.delete_volume(context(), op(), volume(name)).await.unwrap()
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.place.path().join("pool").join(below)
    }

    pub(super) fn volume(&self, name: &str) -> PathBuf {
        self.path("volumes").join(name)
    }

    /// Nothing half-made now, and nothing deleted soon.
    pub(super) async fn assert_nothing_left(&self) {
        assert_eq!(names(&self.path("making")), [] as [String; 0]);
        let end = Instant::now() + Duration::from_secs(20);
        while !names(&self.path("deleting")).is_empty() {
            assert!(Instant::now() < end, "deleted volumes are not removed: {:?}", names(&self.path("deleting")));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(super) fn name(pool: &str) -> PoolName {
    PoolName::new(pool).unwrap()
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
