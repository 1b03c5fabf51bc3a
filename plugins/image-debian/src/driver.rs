//! The driver: answers about releases from memory, builds one at a time on `fetch`.

use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use hull_plugin::image::{ImageFacts, ImageQuery, ImageSinks, ImageSource, SourceImage};
use hull_plugin::{
    Code, Context, Description, Driver, DriverError, FileFd, HostHandle, MemoryFd, OperationId, Progress, StreamFd,
};
use nix::fcntl::{Flock, FlockArg};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::build::{self, Build, Recipe};
use crate::release::Edition;
use crate::{apt, metadata};

/// At most ten reports a second.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Where the driver finds and keeps things.
pub(crate) struct Places {
    pub(crate) apt: PathBuf,
    /// Its own, lasting directory.
    pub(crate) state: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { apt: "/etc/apt".into(), state: "/state".into() }
    }
}

/// Builds Debian images. A build uses a processor or two and a gigabyte: one at a time.
#[derive(Clone)]
pub(crate) struct Debian {
    host: HostHandle,
    places: Rc<Places>,
    one_build: Rc<Mutex<()>>,
}

impl Debian {
    pub(crate) fn new(host: HostHandle, places: Places) -> Self {
        Self { host, places: Rc::new(places), one_build: Rc::default() }
    }

    async fn build(self, op: OperationId, edition: Edition, sinks: ImageSinks) -> Result<(), DriverError> {
        let _guard = tokio::select! {
            guard = self.one_build.lock() => guard,
            () = hull_plugin::caller_left() => return Err(build::given_up()),
        };
        let _lock = self.lock_builds().await?;
        let (metadata, rootfs) = (File::from(sinks.metadata.into_owned()), File::from(sinks.rootfs.into_owned()));
        let directory = self.fresh_directory(&op)?;
        let recipe = Recipe {
            edition,
            mirrors: apt::mirrors(&apt::read(&self.places.apt), edition.release.codename, edition.architecture.debian),
            apt_options: acquire_options().await,
            mounts: may_mount().await,
        };
        tracing::info!(mounts = recipe.mounts, "building `{}` from `{}`", edition.image().id, recipe.mirrors[0].uri);
        let build = Build { recipe, directory: directory.clone(), rootfs };
        let mut reported: Option<Instant> = None;
        let built = build::run(build, async |step| {
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                let percent = Some(step.percent);
                let progress = Progress { stage: step.stage.into(), percent, processed: None, speed: None };
                self.host.progress(&op, progress).await;
            }
        });
        let built = built.await;
        if let Err(error) = std::fs::remove_dir_all(&directory) {
            tracing::warn!(%error, "cannot remove `{}`; the next build will", directory.display());
        }
        built.map_err(|error| error.context(format!("cannot build `{}`", edition.image().id)))?;
        metadata::write(&edition, &metadata)
            .map_err(|error| DriverError::system(&error, "cannot write the image's metadata"))
    }

    /// Kept until the build has ended: a process that this one replaced may still be building.
    async fn lock_builds(&self) -> Result<Flock<File>, DriverError> {
        let path = self.places.state.join("builds.lock");
        let lock = move || -> std::io::Result<Flock<File>> {
            let file = File::options().create(true).append(true).open(path)?;
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
        };
        let locked = tokio::task::spawn_blocking(lock).await;
        let locked =
            locked.map_err(|error| DriverError::internal("waiting for another build ended early").because(error))?;
        locked.map_err(|error| DriverError::system(&error, "cannot lock the place of builds"))
    }

    /// An empty directory for one build; what builds that were killed have left goes first.
    fn fresh_directory(&self, op: &OperationId) -> Result<PathBuf, DriverError> {
        let builds = self.places.state.join("builds");
        let make = || {
            if builds.exists() {
                std::fs::remove_dir_all(&builds)?;
            }
            let directory = builds.join(op.as_str());
            std::fs::create_dir_all(&directory)?;
            Ok(directory)
        };
        make().map_err(|error| DriverError::system(&error, format!("cannot prepare `{}`", builds.display())))
    }
}

impl Driver for Debian {
    fn describe(&self) -> Description {
        Description {
            driver: "debian".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: vec!["protocol:debian".into()],
            ..Description::default()
        }
    }
}

impl ImageSource for Debian {
    async fn resolve(self, _: Context, query: ImageQuery) -> Result<SourceImage, DriverError> {
        Ok(edition(&query)?.image())
    }

    async fn list(self, _: Context, _: String) -> Result<MemoryFd, DriverError> {
        let images: Vec<SourceImage> = Edition::all(Utc::now())?.iter().map(Edition::image).collect();
        let json = serde_json::to_vec(&images)
            .map_err(|error| DriverError::internal("cannot encode the list of images").because(error))?;
        sealed(&json).map_err(|error| DriverError::system(&error, "cannot hand over the list of images"))
    }

    async fn fetch(
        self,
        _: Context,
        op: OperationId,
        query: ImageQuery,
        image: SourceImage,
        sinks: ImageSinks,
    ) -> Result<(), DriverError> {
        let mut edition = edition(&query)?;
        // Resolved before midnight, fetched after it: still the image that was promised.
        let serial = image.id.rsplit('/').next().unwrap_or_default();
        if let Ok(day) = chrono::NaiveDate::parse_from_str(serial, "%Y%m%d") {
            edition.day = day.and_time(chrono::NaiveTime::MIN).and_utc();
        }
        if edition.image().id != image.id {
            return Err(DriverError::not_found(format!("`{}` does not name image `{}`", query.alias, image.id)));
        }
        self.build(op, edition, sinks).await
    }

    async fn receive(
        self,
        _: Context,
        _: OperationId,
        _: StreamFd,
        _: String,
        _: u64,
        _: ImageSinks,
    ) -> Result<(), DriverError> {
        Err(unsupported("take uploads apart"))
    }

    async fn inspect(self, _: Context, _: FileFd, _: Option<FileFd>) -> Result<ImageFacts, DriverError> {
        Err(unsupported("inspect images"))
    }
}

fn edition(query: &ImageQuery) -> Result<Edition, DriverError> {
    if query.instance_type == "virtual-machine" {
        return Err(DriverError::not_found(format!("no image `{}` for virtual machines", query.alias))
            .because("images are built for containers only"));
    }
    Edition::find(&query.alias, &query.architecture, Utc::now())
}

fn unsupported(what: &str) -> DriverError {
    DriverError::new(Code::Unsupported, format!("the `debian` image source does not {what}"))
}

/// apt's settings on this machine that a build from the same mirrors needs.
async fn acquire_options() -> Vec<(String, String)> {
    const WANTED: [&str; 4] =
        ["Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until", "Acquire::Retries"];
    let dump = Command::new("apt-config").args(["dump", "--no-empty", "--format", "%f=%v%n", "Acquire"]).output().await;
    let text = match dump {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => {
            tracing::warn!("`apt-config dump` failed ({}): building without its settings", output.status);
            String::new()
        }
        Err(error) => {
            tracing::warn!(%error, "cannot run `apt-config`: building without its settings");
            String::new()
        }
    };
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let safe = |value: &str| !value.contains(['"', '\n', ';', '\\']);
    let wanted = settings.filter(|(name, value)| WANTED.contains(name) && safe(value));
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Whether the sandbox lets a build mount /proc and device nodes in its chroot: asked by doing it.
async fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["--mount", "mount", "--bind", "/dev/null", "/dev/zero"]).output().await;
    tried.is_ok_and(|output| output.status.success())
}

fn sealed(content: &[u8]) -> std::io::Result<MemoryFd> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::io::Write as _;
    let mut file = File::from(memfd_create(c"images", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(content)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(MemoryFd::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_plugin::testing;
    use std::io::{Read, Seek, SeekFrom};
    use std::path::Path;

    fn query(alias: &str) -> ImageQuery {
        let instance_type = "container".into();
        ImageQuery { server: String::new(), alias: alias.into(), architecture: String::new(), instance_type }
    }

    fn sinks(metadata: &File, rootfs: &File) -> ImageSinks {
        let copy = |file: &File| FileFd::new(file.try_clone().unwrap());
        ImageSinks { metadata: copy(metadata), rootfs: copy(rootfs) }
    }

    async fn with_driver<T>(
        state: &Path,
        test: impl AsyncFnOnce(testing::Harness<hull_plugin::image::ImageSourceClient>) -> T,
    ) -> T {
        let places = Places { state: state.into(), ..Places::default() };
        let scope = tokio::task::LocalSet::new();
        scope.run_until(async { test(testing::image(|host| Debian::new(host, places)).unwrap()).await }).await
    }

    fn long() -> Context {
        hull_plugin::context(hull_plugin::RequestId(1), Duration::from_secs(600))
    }

    #[tokio::test]
    async fn offers_what_it_resolves() {
        let state = tempfile::tempdir().unwrap();
        with_driver(state.path(), async |harness| {
            let list = harness.driver.list(testing::context(), String::new()).await.unwrap().unwrap();
            let mut file = File::from(list.into_owned());
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_string(&mut text).unwrap();
            let images: Vec<SourceImage> = serde_json::from_str(&text).unwrap();
            for image in images {
                for alias in &image.aliases {
                    let found = harness.driver.resolve(testing::context(), query(alias)).await.unwrap().unwrap();
                    assert_eq!(found, image);
                }
            }
        })
        .await;
    }

    #[tokio::test]
    async fn an_image_of_another_release_is_not_built() {
        let state = tempfile::tempdir().unwrap();
        let (metadata, rootfs) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        with_driver(state.path(), async |harness| {
            let trixie = harness.driver.resolve(testing::context(), query("trixie")).await.unwrap().unwrap();
            let answer = harness.driver.fetch(
                testing::context(),
                OperationId::random(),
                query("bookworm"),
                trixie,
                sinks(&metadata, &rootfs),
            );
            assert_eq!(answer.await.unwrap().unwrap_err().code, Code::NotFound);
        })
        .await;
        assert_eq!(rootfs.metadata().unwrap().len(), 0);
    }

    /// Needs root (for the chroot) and a package mirror, as `cargo xtask test` has them.
    #[tokio::test]
    async fn a_built_image_has_an_init_an_address_and_no_identity() {
        let state = tempfile::tempdir().unwrap();
        let (metadata, mut rootfs) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        with_driver(state.path(), async |harness| {
            let image = harness.driver.resolve(testing::context(), query("bookworm")).await.unwrap().unwrap();
            let op = OperationId::random();
            let fetched =
                harness.driver.fetch(long(), op.clone(), query("bookworm"), image, sinks(&metadata, &rootfs)).await;
            fetched.unwrap().unwrap();
            let reports = harness.host.progress.borrow();
            assert!(reports.iter().all(|(of, _)| *of == op));
            let percents: Vec<_> = reports.iter().map(|(_, progress)| progress.percent).collect();
            assert!(percents.len() > 5 && percents.is_sorted(), "{percents:?}");
        })
        .await;

        rootfs.rewind().unwrap();
        let mut archive = tar::Archive::new(zstd::Decoder::new(&rootfs).unwrap());
        let (mut init, mut network, mut machine_id, mut ping_may_ping) = (false, false, None, false);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            assert!(
                !path.starts_with("./dev/") || path.ends_with("dev"),
                "device nodes are Hull's: {}",
                path.display()
            );
            match path.to_str().unwrap() {
                "./usr/sbin/init" => init = true,
                "./etc/systemd/network/eth0.network" => network = true,
                "./etc/machine-id" => machine_id = Some(entry.size()),
                "./etc/hostname" | "./etc/apt/apt.conf.d/99mmdebstrap" => {
                    panic!("`{}` is in the image", path.display())
                }
                "./usr/bin/ping" => {
                    let mut attributes = entry.pax_extensions().unwrap().unwrap();
                    ping_may_ping = attributes.any(|one| one.unwrap().key().unwrap().ends_with("security.capability"));
                }
                _ => {}
            }
        }
        assert!(network && ping_may_ping && init, "{init} {network} {ping_may_ping}");
        assert_eq!(machine_id, Some(0));
        assert_eq!(std::fs::read_dir(state.path().join("builds")).unwrap().count(), 0, "a build left files behind");
    }
}
