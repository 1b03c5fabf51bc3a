//! The things that faults are committed on: a pool `victim` with an instance `prey`, and what scenarios make and remove.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{run, until};
use crate::image::small_image;
use crate::{Answer, Host, Rest};

pub(super) const POOL: &str = "victim";
pub(super) const FLEETING: &str = "fleeting";
pub(super) const PREY: &str = "/1.0/instances/prey";
/// Where a custom volume is.
pub(super) const VOLUMES: &str = "/1.0/storage-pools/victim/volumes/custom";

/// What scenarios work with. Everything in it can be made and removed again and again.
pub(super) struct Stage {
    pub(super) rest: Rest,
    /// The host's own network, and one that scenarios make.
    pub(super) network: String,
    pub(super) other_network: String,
    /// An image that is not there.
    pub(super) image: Vec<u8>,
    shared: PathBuf,
    /// The pool's directory.
    pool: PathBuf,
    known_images: Vec<Value>,
}

impl Stage {
    /// Makes pool and prey.
    pub(super) fn set(host: &Host) -> Result<Self> {
        let network = host.network().context("the host has no network")?.to_owned();
        let shared = host.folder().join("shared");
        std::fs::create_dir_all(&shared)?;
        let known_images = list(&host.rest, "/1.0/images")?;
        let stage = Self {
            rest: host.rest.clone(),
            other_network: format!("{network}x"),
            network,
            image: std::fs::read(small_image(host.folder(), "small")?)?,
            shared,
            pool: host.directory().join("storage-pools").join(POOL),
            known_images,
        };
        stage.done(stage.rest.post("/1.0/storage-pools", &json!({"name": POOL, "driver": "dir", "config": {}}))?)?;
        let prey = json!({
            "name": "prey", "source": {"type": "image", "alias": "busybox"}, "devices": stage.devices(),
        });
        stage.done(stage.rest.post("/1.0/instances", &prey)?)?;
        Ok(stage)
    }

    /// Waits for what a request has begun.
    pub(super) fn done(&self, answer: Answer) -> Result<()> {
        self.rest.done(&answer)
    }

    fn devices(&self) -> Value {
        json!({
            "root": {"type": "disk", "path": "/", "pool": POOL},
            "shared": {"type": "disk", "source": self.shared.display().to_string(), "path": "/mnt"},
        })
    }

    /// Gives the prey its devices, or takes the shared one away.
    pub(super) fn set_devices(&self, shared: bool) -> Result<()> {
        let mut prey = self.rest.get(PREY)?.metadata()?;
        let mut devices = self.devices();
        if !shared && let Some(devices) = devices.as_object_mut() {
            devices.remove("shared");
        }
        if prey["devices"] == devices {
            return Ok(());
        }
        prey["devices"] = devices;
        self.done(self.rest.put(PREY, &prey)?)
    }

    pub(super) fn change(&self, action: &str, force: bool) -> Result<()> {
        let wish = json!({"action": action, "force": force, "timeout": 20});
        self.done(self.rest.put(&format!("{PREY}/state"), &wish)?)
    }

    /// Starts the prey and waits until its start script has run.
    pub(super) fn start_prey(&self) -> Result<()> {
        self.change("start", false)?;
        until("the prey has booted", Duration::from_secs(20), || {
            let answer = self.rest.get(&format!("{PREY}/files?path=/run/booted")).ok()?;
            (answer.status == 200).then_some(())
        })
    }

    pub(super) fn prey_is(&self, status: &str) -> Result<()> {
        let found = self.rest.get(PREY)?.metadata()?;
        if found["status"] != status {
            bail!("the prey should be {status} and is {}", found["status"]);
        }
        Ok(())
    }

    pub(super) fn exists(&self, url: &str) -> Result<bool> {
        let answer = self.rest.get(url)?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => bail!("{url}: {}", answer.error()?),
        }
    }

    /// Removes whatever a scenario has made, whether it came to its end or not.
    pub(super) fn clear(&self) -> Result<()> {
        if self.rest.get(PREY)?.metadata()?["status"] != "Stopped" {
            self.change("stop", true)?;
        }
        self.prey_is("Stopped")?;
        self.set_devices(true)?;
        let pool = format!("/1.0/storage-pools/{FLEETING}");
        let network = format!("/1.0/networks/{}", self.other_network);
        // A network is looked up among the host's interfaces, too: only the list of Hull's own says what is to be removed.
        let mut left = list(&self.rest, VOLUMES)?;
        left.extend([pool].into_iter().filter(|url| self.exists(url).unwrap_or(true)).map(Value::from));
        let images = list(&self.rest, "/1.0/images")?;
        left.extend(images.into_iter().filter(|image| !self.known_images.contains(image)));
        let networks = list(&self.rest, "/1.0/networks")?;
        left.extend(networks.into_iter().filter(|one| *one == network.as_str()));
        for url in left.iter().filter_map(Value::as_str) {
            self.done(self.rest.delete(url)?).with_context(|| format!("cannot remove {url}"))?;
        }
        Ok(())
    }

    /// A copy of an image that Hull does not have, in the pool of the prey.
    pub(super) fn stray_volume(&self) -> Result<()> {
        let images = self.pool.join("volumes/image");
        let owner = std::fs::metadata(&images).context("the pool of the prey holds its image")?;
        std::fs::create_dir_all(self.stray())?;
        Ok(std::os::unix::fs::chown(self.stray(), Some(owner.uid()), Some(owner.gid()))?)
    }

    /// A link that bears the driver's mark, and belongs to nothing.
    pub(super) fn stray_link(&self) -> Result<()> {
        if self.stray_link_exists() {
            return Ok(());
        }
        let mark = std::fs::read_to_string(format!("/sys/class/net/{}/ifalias", self.network))?;
        let link = self.stray_link_name();
        run(Command::new("ip").args(["link", "add", &link, "type", "bridge"]), "")?.ok()?;
        run(Command::new("ip").args(["link", "set", &link, "alias", mark.trim()]), "")?.ok().map(drop)
    }

    /// Waits until they have been collected.
    pub(super) fn has_no_strays(&self) -> Result<()> {
        until("what nobody owns is collected", Duration::from_secs(15), || {
            (!self.stray().exists() && !self.stray_link_exists()).then_some(())
        })
    }

    fn stray(&self) -> PathBuf {
        self.pool.join("volumes/image/stray")
    }

    fn stray_link_name(&self) -> String {
        format!("{}y", self.network)
    }

    fn stray_link_exists(&self) -> bool {
        Path::new("/sys/class/net").join(self.stray_link_name()).exists()
    }

    /// What is left at the end.
    pub(super) fn strike(&self) -> Result<()> {
        self.clear()?;
        if self.stray_link_exists() {
            run(Command::new("ip").args(["link", "del", &self.stray_link_name()]), "")?.ok()?;
        }
        self.done(self.rest.delete(PREY)?)
    }
}

fn list(rest: &Rest, url: &str) -> Result<Vec<Value>> {
    Ok(rest.get(url)?.metadata()?.as_array().cloned().unwrap_or_default())
}
