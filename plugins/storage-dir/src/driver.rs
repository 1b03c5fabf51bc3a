//! The driver: the contract's methods, each a few lines: locks, then work off the event loop.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hull_image_format::{Limits, Meter};
use hull_plugin::storage::{ContentKind, NewVolume, Reconciled, StorageDriver, Usage, VolumeRoot, VolumeSource};
use hull_plugin::{
    Code, ConfigKey, ConfigMap, Context, Description, Driver, DriverError, Handle, Health, HostHandle, OperationId,
    PoolName, Progress, ValueKind, VolumeName,
};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::failure::refused;
use crate::locks::{Access, Locks};
use crate::pool::Pool;
use crate::reaper::Reaper;
use crate::volumes::{self, Filling, Layout, Unknown};

#[derive(Clone)]
pub(crate) struct DirDriver(Rc<Inner>);

struct Inner {
    host: HostHandle,
    root: PathBuf,
    pool: RefCell<Option<Arc<Pool>>>,
    locks: Locks,
    reaper: Reaper,
    /// Unpacking and copying: as many at a time as the disk and processors are good for.
    heavy: Semaphore,
    /// Everything else: bounded, so that a hung file system does not eat all threads.
    light: Semaphore,
    /// Names said by the calls of `reconcile` so far.
    known: RefCell<BTreeSet<VolumeName>>,
    usages: RefCell<HashMap<VolumeName, (Instant, Usage)>>,
}

const HEAVY: usize = 4;
const LIGHT: usize = 32;
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// How long a volume's usage is answered from memory: measuring walks the whole volume.
const USAGE_KEEPS: Duration = Duration::from_secs(10);

impl DirDriver {
    /// Serves the pool in the directory `root`. Must be called inside a `LocalSet`.
    pub(crate) fn new(host: HostHandle, root: impl Into<PathBuf>) -> Self {
        Self(Rc::new(Inner {
            host,
            root: root.into(),
            pool: RefCell::default(),
            locks: Locks::default(),
            reaper: Reaper::start(),
            heavy: Semaphore::new(HEAVY),
            light: Semaphore::new(LIGHT),
            known: RefCell::default(),
            usages: RefCell::default(),
        }))
    }

    fn pool(&self) -> Result<Arc<Pool>, DriverError> {
        let pool = self.0.pool.borrow().clone();
        pool.ok_or_else(|| DriverError::new(Code::Unavailable, "the pool is not open"))
    }

    /// Short work on the pool.
    async fn light<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Pool>) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let pool = self.pool()?;
        self.off_the_loop(&self.0.light, move || work(pool)).await
    }

    async fn off_the_loop<T: Send + 'static>(
        &self,
        bound: &Semaphore,
        work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let _permit = bound.acquire().await.map_err(|error| DriverError::internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(DriverError::internal("the work ended early").because(error)))
    }

    /// Reports how far `work` is while it runs.
    async fn reporting<T>(&self, op: &OperationId, stage: &str, meter: &Meter, work: impl Future<Output = T>) -> T {
        tokio::select! {
            result = work => result,
            never = self.report(op, stage, meter) => match never {},
        }
    }

    async fn report(&self, op: &OperationId, stage: &str, meter: &Meter) -> Infallible {
        let start = Instant::now();
        let mut ticks = tokio::time::interval_at((start + REPORT_EVERY).into(), REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let written = meter.written();
            let speed = (written as f64 / start.elapsed().as_secs_f64()) as u64;
            let (percent, processed) = (meter.percent(), Some(written));
            let progress = Progress { stage: stage.into(), percent, processed, speed: Some(speed) };
            self.0.host.progress(op, progress).await;
        }
    }

    fn use_pool(&self, pool: Pool) {
        let pool = Arc::new(pool);
        self.0.reaper.wake(&pool);
        self.0.known.borrow_mut().clear();
        *self.0.pool.borrow_mut() = Some(pool);
    }

    /// Whether this process serves the pool already: what it is making there must not be cleared away.
    fn serves(&self, pool: &PoolName) -> bool {
        self.0.pool.borrow().as_ref().is_some_and(|open| open.name == pool.as_str())
    }
}

impl Driver for DirDriver {
    fn describe(&self) -> Description {
        let source = "Directory that holds the pool's volumes";
        let size = "Size of the volume; kept for copies to other pools, as this driver sets no limits";
        Description {
            driver: "dir".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: Vec::new(),
            config: vec![ConfigKey { live: false, ..ConfigKey::new("source", ValueKind::Path, "", source) }],
            item_config: vec![ConfigKey::new("size", ValueKind::Size, "", size)],
            ..Description::default()
        }
    }

    async fn health(&self) -> Health {
        let Ok(pool) = self.pool() else { return Health::Ready };
        match self.off_the_loop(&self.0.light, move || pool.usage()).await {
            Ok(_) => Health::Ready,
            Err(error) => Health::Unhealthy { why: error.to_string() },
        }
    }
}

impl StorageDriver for DirDriver {
    async fn create_pool(
        self,
        _: Context,
        _op: OperationId,
        pool: PoolName,
        config: ConfigMap,
    ) -> Result<ConfigMap, DriverError> {
        if !self.serves(&pool) {
            let root = self.0.root.clone();
            let made = move || Pool::create(Pool::root(&root)?, &pool);
            self.use_pool(self.off_the_loop(&self.0.light, made).await?);
        }
        Ok(config)
    }

    async fn delete_pool(self, _: Context, _op: OperationId, pool: PoolName) -> Result<(), DriverError> {
        if self.serves(&pool) {
            self.0.pool.borrow_mut().take();
        }
        let root = self.0.root.clone();
        self.off_the_loop(&self.0.heavy, move || Pool::delete(&Pool::root(&root)?, &pool)).await
    }

    async fn open_pool(self, _: Context, pool: PoolName, _config: ConfigMap) -> Result<(), DriverError> {
        if self.serves(&pool) {
            return Ok(());
        }
        let root = self.0.root.clone();
        let opened = move || {
            let opened = Pool::open(Pool::root(&root)?, &pool)?;
            opened.discard_abandoned()?;
            Ok(opened)
        };
        self.use_pool(self.off_the_loop(&self.0.light, opened).await?);
        Ok(())
    }

    async fn pool_usage(self, _: Context) -> Result<Usage, DriverError> {
        self.light(|pool| pool.usage()).await
    }

    async fn create_volume(
        self,
        _: Context,
        op: OperationId,
        volume: NewVolume,
    ) -> Result<Option<Handle>, DriverError> {
        let NewVolume { name, content, config, source } = volume;
        if content == ContentKind::Block {
            let message = format!("volume `{name}` cannot be a block device: the driver `dir` has file systems only");
            return Err(DriverError::new(Code::Unsupported, message));
        }
        if config.contains_key("size") {
            tracing::info!(volume = %name, "the driver `dir` sets no limit on a volume's size");
        }
        let (filling, stage) = match source {
            VolumeSource::Empty => (Filling::Empty, "create"),
            VolumeSource::Image(files) => {
                let limits = Limits { max_bytes: files.max_bytes, max_inodes: files.max_inodes };
                let open = |fd: hull_plugin::FileFd| File::from(fd.into_owned());
                (Filling::Image { metadata: open(files.metadata), rootfs: files.rootfs.map(open), limits }, "unpack")
            }
            VolumeSource::Volume(source) if source == name => {
                return Err(DriverError::invalid("source", format!("volume `{name}` cannot be a copy of itself")));
            }
            VolumeSource::Volume(source) => (Filling::Volume(source), "copy"),
        };
        let _guards = match &filling {
            Filling::Volume(source) => self.0.locks.both(&name, (source, Access::Read)).await.into(),
            Filling::Empty | Filling::Image { .. } => vec![self.0.locks.change(&name).await],
        };
        let pool = self.pool()?;
        let meter = Arc::new(Meter::default());
        let shared = meter.clone();
        let work = self.off_the_loop(&self.0.heavy, move || volumes::create(&pool, &name, &filling, &shared));
        self.reporting(&op, stage, &meter, work).await?;
        // Beside the next volume's copying: whoever is through by now shares the flush.
        self.light(|pool| {
            pool.make_durable().map_err(|error| refused(error, "cannot make the new volume durable on the pool's disk"))
        })
        .await?;
        Ok(None)
    }

    async fn delete_volume(self, _: Context, _op: OperationId, volume: VolumeName) -> Result<(), DriverError> {
        let _guard = self.0.locks.change(&volume).await;
        self.0.usages.borrow_mut().remove(&volume);
        let deleted = self.light(move |pool| volumes::delete(&pool, &volume)).await?;
        if deleted {
            self.0.reaper.wake(&self.pool()?);
        }
        Ok(())
    }

    async fn rename_volume(
        self,
        _: Context,
        _op: OperationId,
        from: VolumeName,
        to: VolumeName,
    ) -> Result<(), DriverError> {
        if from == to {
            return self.light(move |pool| pool.require(&from).map(drop)).await;
        }
        let _guards = self.0.locks.both(&from, (&to, Access::Change)).await;
        self.light(move |pool| volumes::rename(&pool, &from, &to)).await
    }

    async fn mount_volume(self, _: Context, _op: OperationId, volume: VolumeName) -> Result<VolumeRoot, DriverError> {
        let _guard = self.0.locks.read(&volume).await;
        let path = Layout::path(&volume);
        self.light(move |pool| pool.require(&volume)).await?;
        Ok(VolumeRoot::InPool(path))
    }

    async fn unmount_volume(self, _: Context, _op: OperationId, _volume: VolumeName) -> Result<(), DriverError> {
        Ok(()) // nothing was mounted: volumes are directories
    }

    async fn volume_usage(self, _: Context, volume: VolumeName) -> Result<Usage, DriverError> {
        let _guard = self.0.locks.read(&volume).await;
        if let Some((at, usage)) = self.0.usages.borrow().get(&volume).filter(|(at, _)| at.elapsed() < USAGE_KEEPS) {
            tracing::trace!(%volume, age = ?at.elapsed(), "usage from memory");
            return Ok(*usage);
        }
        let (pool, name) = (self.pool()?, volume.clone());
        let work = move || volumes::usage(&pool, &name, &Meter::default());
        let usage = self.off_the_loop(&self.0.heavy, work).await?;
        let mut usages = self.0.usages.borrow_mut();
        usages.retain(|_, (at, _)| at.elapsed() < USAGE_KEEPS);
        usages.insert(volume, (Instant::now(), usage));
        Ok(usage)
    }

    async fn resize_volume(
        self,
        _: Context,
        _op: OperationId,
        volume: VolumeName,
        bytes: Option<u64>,
    ) -> Result<Option<u64>, DriverError> {
        match bytes {
            None => self.light(move |pool| pool.require(&volume)).await.map(|_| None),
            Some(_) => {
                let message = format!("cannot limit volume `{volume}`: the driver `dir` sets no limits");
                Err(DriverError::new(Code::Unsupported, message))
            }
        }
    }

    async fn reconcile(self, _: Context, known: Vec<VolumeName>, last: bool) -> Result<Reconciled, DriverError> {
        self.0.known.borrow_mut().extend(known);
        if !last {
            return Ok(Reconciled::default());
        }
        let known = self.0.known.take();
        self.light(move |pool| volumes::reconcile(&pool, &known)).await
    }

    async fn collect(self, _: Context, _op: OperationId, unknown: Vec<String>) -> Result<(), DriverError> {
        for item in unknown {
            match Unknown::parse(&item)? {
                Unknown::Volume(volume) => {
                    let _guard = self.0.locks.change(&volume).await;
                    self.light(move |pool| volumes::delete(&pool, &volume)).await?;
                }
                Unknown::HalfMade(name) => self.light(move |pool| pool.discard_half_made(&name)).await?,
            }
        }
        self.0.reaper.wake(&self.pool()?);
        Ok(())
    }
}
