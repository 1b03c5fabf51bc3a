//! Making an instance: its root volume from an image (or empty), then its record.

use axum::response::Response;
use chrono::Utc;
use hull_api::{InstanceSource, InstancesPost};
use hull_plugin::storage::{ContentKind, VolumeSource};
use hull_plugin::{Code, ConfigMap, Fingerprint, OperationId, PluginKind, PoolName};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::expand;
use super::model::Record;
use super::{idmap, pet_name, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::operations::{Handle, Spec};
use crate::plans::{self, AfterCrash, Plan};
use crate::storage::{VolumeRow, unmake_volume};

/// Checks what can be checked now, and makes the rest an operation.
pub(super) async fn create(hull: &Hull, post: InstancesPost) -> Result<Response, ApiError> {
    let name = match post.name.as_str() {
        "" => pet_name::free(|name| hull.instances.get(name).is_ok()),
        text => text.parse()?,
    };
    let kind = if post.kind.is_empty() { "container" } else { post.kind.as_str() };
    let driver = driver_for(hull, kind).await?;
    match post.source.kind.as_str() {
        // An image that is not here is refused at once; one of a remote is looked for by the operation.
        "image" => drop(hull.images.local(&post.source)?),
        "none" => {}
        "copy" | "migration" => {
            let why = format!("Instances cannot be made from a source of type \"{}\" yet", post.source.kind);
            return Err(ApiError::bad_request(why));
        }
        other => return Err(ApiError::bad_request(format!("Unknown source type {other}"))),
    }
    let profiles = existing_profiles(hull, post.profiles.clone().unwrap_or_else(|| vec!["default".to_owned()]))?;
    no_cloud_type(&post.instance_type)?;
    let devices = validate::without_empty_keys(post.devices);
    let unmade = |error: ApiError| error.context("Failed creating instance record");
    validate::config(hull, &post.config).await.map_err(unmade)?;
    let checked = async {
        validate::devices(hull, &devices).await.map_err(|error| error.context("Invalid devices"))?;
        validate::sources(&devices).await
    };
    checked.await.map_err(|error| unmade(error.context("Failed initialising instance")))?;
    let record = Record {
        name: name.clone(),
        kind: kind.to_owned(),
        driver,
        architecture: if post.architecture.is_empty() {
            crate::server::architecture()
        } else {
            post.architecture.clone()
        },
        description: post.description.clone(),
        ephemeral: post.ephemeral,
        stateful: post.stateful,
        config: post.config.clone(),
        devices,
        profiles,
        pool: None,
        created_at: Utc::now().timestamp(),
        last_used_at: 0,
    };
    // Not its own work yet, but known already: where it will be done.
    let (_, expanded) = expand::expand(hull, &record);
    let pool = expand::root_disk(&expanded).and_then(|(_, root)| PoolName::new(root.get("pool")?).ok());
    let load = pool.and_then(|pool| hull.storage.load_of(hull, &pool));
    let spec = Spec::task("Creating instance", "instances", name.url()).also("containers", name.url());
    let spec = spec.cancellable().loading(load);
    let (hull_for_task, source) = (hull.clone(), post.source);
    hull.operations.start(spec, move |operation| run(hull_for_task, record, source, operation))
}

pub(super) fn existing_profiles(hull: &Hull, profiles: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mut seen = std::collections::BTreeSet::new();
    if !profiles.iter().all(|name| seen.insert(name)) {
        return Err(ApiError::bad_request("Duplicate profile found in request"));
    }
    match profiles.iter().find(|name| hull.profiles.find(name).is_none()) {
        Some(missing) => Err(ApiError::bad_request(format!("Requested profile \"{missing}\" doesn't exist"))),
        None => Ok(profiles),
    }
}

/// Types such as `t2.micro` stand for limits that LXD fetches from a list on the network; Hull has none.
fn no_cloud_type(kind: &str) -> Result<(), ApiError> {
    match kind {
        "" => Ok(()),
        other => Err(ApiError::bad_request(format!(
            "Provided instance type doesn't exist: {other} (hint: set limits.cpu and limits.memory instead)"
        ))),
    }
}

/// The driver that declares `type:KIND`.
async fn driver_for(hull: &Hull, kind: &str) -> Result<String, ApiError> {
    let capability = format!("type:{kind}");
    let described = hull.plugins.descriptions(PluginKind::Instance).await;
    let found = described.iter().find(|one| one.can(&capability)).map(|one| one.driver.clone());
    found.ok_or_else(|| {
        if !matches!(kind, "container" | "virtual-machine") {
            return ApiError::bad_request("Invalid instance type");
        }
        ApiError::bad_request(format!("No driver for instances of type \"{kind}\" is installed or works"))
    })
}

async fn run(hull: Hull, mut record: Record, source: InstanceSource, operation: Handle) -> Result<(), ApiError> {
    hull.instances.recovered(record.name.as_str()).await;
    let _reserved = hull.instances.reserve(&record.name)?;
    let image = match source.kind.as_str() {
        "none" => None,
        _ => Some(hull.images.obtain(&hull, &source, &operation).await?),
    };
    if let Some(image) = &image {
        record.architecture = image.architecture.clone();
        for (key, value) in &image.properties {
            record.config.insert(format!("image.{key}"), value.clone());
        }
        record.config.insert("volatile.base_image".into(), image.fingerprint.to_string());
    }
    let (_, devices) = expand::expand(&hull, &record);
    validate::expanded(&devices)?;
    let (_, root) = expand::root_disk(&devices).ok_or_else(|| {
        ApiError::bad_request("Failed creating instance record: Failed initialising instance: Failed getting root disk: No root device could be found (hint: add a disk device with path=/ and a pool, or a profile that has one)")
    })?;
    let pool = root.get("pool").map(PoolName::new).transpose()?;
    let pool = pool.ok_or_else(|| ApiError::bad_request("Root disk entry must have a \"pool\" property set"))?;
    fill_volatile(&mut record, &devices);
    record.pool = Some(pool.clone());
    let _making = hull.storage.making(&hull, &pool).await?;
    let plan = Create {
        record,
        pool,
        fingerprint: image.map(|image| image.fingerprint.clone()),
        operation: Some(operation.clone()),
        foreign: false,
    };
    plans::execute(plan, &hull, operation.id()).await
}

/// What Hull notes at birth: identity, id map, MAC addresses.
fn fill_volatile(record: &mut Record, devices: &super::Devices) {
    let uuid = || uuid::Uuid::new_v4().to_string();
    let map = idmap::volatile(&idmap::default_map());
    let defaults = [
        ("volatile.uuid", uuid()),
        ("volatile.cloud-init.instance-id", uuid()),
        ("volatile.idmap.base", "0".to_owned()),
        ("volatile.idmap.next", map),
        ("volatile.last_state.idmap", "[]".to_owned()),
    ];
    for (key, value) in defaults {
        record.config.entry(key.to_owned()).or_insert(value);
    }
    fill_hwaddrs(&mut record.config, devices);
}

/// Every NIC without an address of its own gets one that stays: `00:16:3e` is the prefix that Xen, LXC and LXD use.
pub(super) fn fill_hwaddrs(config: &mut ConfigMap, devices: &super::Devices) {
    for (name, nic) in expand::of_kind(devices, "nic") {
        let key = format!("volatile.{name}.hwaddr");
        if nic.get("hwaddr").is_none_or(String::is_empty) && !config.contains_key(&key) {
            let [a, b, c] = rand::random::<[u8; 3]>();
            config.insert(key, format!("00:16:3e:{a:02x}:{b:02x}:{c:02x}"));
        }
    }
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Create {
    pub(super) record: Record,
    pool: PoolName,
    fingerprint: Option<Fingerprint>,
    /// For progress and cancelling; a plan taken up after a crash has nobody waiting.
    #[serde(skip)]
    operation: Option<Handle>,
    /// The volume's name is taken by one that Hull does not know: not ours to remove.
    #[serde(skip)]
    foreign: bool,
}

impl Create {
    fn volume_row(&self) -> VolumeRow {
        VolumeRow {
            pool: self.pool.clone(),
            name: self.record.name.volume(),
            content: "filesystem".into(),
            description: String::new(),
            config: ConfigMap::new(),
            created_at: self.record.created_at,
        }
    }

    /// Copies the image's unpacked volume of this pool, which is made by whoever needs it first.
    async fn make_volume(&mut self, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let source = match &self.fingerprint {
            Some(fingerprint) => {
                VolumeSource::Volume(hull.images.ensure_unpacked(hull, &self.pool, fingerprint, operation).await?)
            }
            None => VolumeSource::Empty,
        };
        let pool = hull.storage.pool(&self.pool)?;
        let volume = hull_plugin::storage::NewVolume {
            name: self.record.name.volume(),
            content: ContentKind::FileSystem,
            config: ConfigMap::new(),
            source,
        };
        let made = hull.storage.handle(hull, &pool).await?.create_volume(operation, &volume).await;
        self.foreign = made.as_ref().is_err_and(|error| error.code == Code::AlreadyExists);
        Ok(made.map(drop)?)
    }

    fn cancelled(&self) -> Result<(), ApiError> {
        match &self.operation {
            Some(operation) if operation.cancelled().is_cancelled() => {
                Err(ApiError::bad_request("The operation was cancelled"))
            }
            _ => Ok(()),
        }
    }
}

impl Plan for Create {
    const KIND: &'static str = "create-instance";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.pool.clone())]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        self.cancelled()?;
        self.make_volume(hull, operation).await?;
        // What is made now stays, or is taken back by the plan: an unpacked image is kept for the next instance.
        self.operation.as_ref().map_or(Ok(()), Handle::past_cancelling)
    }

    async fn undo(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if self.foreign {
            return Ok(());
        }
        unmake_volume(hull, &self.pool, &self.record.name.volume(), operation).await
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        crate::storage::insert_volume(tx, &self.volume_row())?;
        store::insert(tx, &self.record)
    }

    fn published(self, hull: &Hull) {
        hull.storage.volume_added(self.volume_row());
        let url = self.record.name.url();
        let context = serde_json::json!({"type": self.record.kind, "storage-pool": self.pool});
        hull.instances.insert(self.record);
        hull.events.lifecycle_with("instance-created", &url, context);
    }
}
