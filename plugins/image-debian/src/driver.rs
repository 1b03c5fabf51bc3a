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
        let _guard = self.one_build.lock().await;
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
