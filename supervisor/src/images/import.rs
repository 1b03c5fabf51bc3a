//! Filled files become an image: a driver says what they are, then they get their names and a record.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use chrono::Utc;
use hull_api::ImageAlias;
use hull_plugin::image::ImageFacts;
use hull_plugin::{ConfigMap, FileFd, Fingerprint, OperationId};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::files::Sinks;
use super::model::{Alias, AliasName, Image, Source};
use super::store;
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::operations::Handle;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::sys::read_memory;

/// The longest metadata document, in bytes.
const LONGEST_METADATA: u64 = 4 << 20;

/// What a user (or the source) says of an image beside its files.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) filename: String,
    pub(super) public: bool,
    pub(super) auto_update: bool,
    pub(super) cached: bool,
    /// On top of those in the image.
    pub(super) properties: ConfigMap,
    /// Empty: `default`.
    pub(super) profiles: Vec<String>,
    pub(super) aliases: Vec<ImageAlias>,
    pub(super) source: Option<Source>,
    /// What the source says it is.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What becomes of an image that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// The import fails, as in LXD.
    Refuse,
    /// It is what was asked for.
    Take,
}

pub(super) async fn import(
    hull: &Hull,
    sinks: Sinks,
    wishes: Wishes,
    existing: Existing,
    operation: Option<&Handle>,
) -> Result<Arc<Image>, ApiError> {
    let facts = inspect(hull, &sinks).await?;
    let fingerprint = facts.fingerprint.clone();
    check_fingerprint(wishes.fingerprint.as_ref(), &fingerprint)?;
    if let Some(operation) = operation {
        let known = [("fingerprint", fingerprint.to_string()), ("size", facts.size.to_string())];
        operation.update(Map::from_iter(known.map(|(key, value)| (key.to_owned(), Value::String(value)))));
    }
    hull.recovery.through(Noun::Images).await;
    let _flight = hull.images.flights.board(format!("image/{fingerprint}")).await;
    if let Some(image) = hull.images.find(&fingerprint) {
        return match existing {
            Existing::Take => Ok(image),
            Existing::Refuse => Err(ApiError::conflict("Image with same fingerprint already exists")),
        };
    }
    let aliases = checked_aliases(hull, &wishes.aliases)?;
    let plan = ImportImage { image: image(facts, wishes)?, aliases, sinks: Some(Arc::new(sinks)) };
    plans::execute(plan, hull, &OperationId::random()).await?;
    hull.images.find(&fingerprint).ok_or_else(|| ApiError::not_found("Image not found"))
}

/// A source that publishes a fingerprint must deliver that content.
fn check_fingerprint(expected: Option<&Fingerprint>, got: &Fingerprint) -> Result<(), ApiError> {
    match expected {
        Some(expected) if expected != got => {
            Err(ApiError::bad_request(format!("Image fingerprint doesn't match. Got {got} expected {expected}")))
        }
        _ => Ok(()),
    }
}

async fn inspect(hull: &Hull, sinks: &Sinks) -> Result<ImageFacts, ApiError> {
    let inspector = hull.plugins.image_inspector().await?;
    let unreadable = |error: std::io::Error| ApiError::internal(format!("cannot read the new image: {error}"));
    let metadata = FileFd::new(reopened(&sinks.metadata).map_err(unreadable)?);
    let has_rootfs = sinks.rootfs.metadata().map_err(unreadable)?.len() > 0;
    let rootfs = has_rootfs.then(|| reopened(&sinks.rootfs).map(FileFd::new)).transpose().map_err(unreadable)?;
    Ok(inspector.inspect(&metadata, &rootfs).await?)
}

/// The same file, read-only and from its start.
fn reopened(file: &File) -> std::io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn checked_aliases(hull: &Hull, wanted: &[ImageAlias]) -> Result<Vec<(AliasName, String)>, ApiError> {
    let check = |alias: &ImageAlias| {
        let name = AliasName::parse(&alias.name)?;
        match hull.images.alias(&alias.name) {
            Ok(_) => Err(ApiError::conflict(format!("Alias already exists: {}", alias.name))),
            Err(_) => Ok((name, alias.description.clone())),
        }
    };
    wanted.iter().map(check).collect()
}

fn image(facts: ImageFacts, wishes: Wishes) -> Result<Image, ApiError> {
    let document = read_memory(facts.metadata.into_owned(), LONGEST_METADATA)
        .map_err(|error| ApiError::internal(format!("cannot read the image's metadata from its driver: {error}")))?;
    let metadata = serde_json::from_slice(&document)
        .map_err(|error| ApiError::bad_request(format!("the image's metadata is no JSON document: {error}")))?;
    let mut properties = facts.properties;
    properties.extend(wishes.properties);
    let now = Utc::now().timestamp();
    Ok(Image {
        fingerprint: facts.fingerprint,
        filename: wishes.filename,
        size: facts.size,
        architecture: facts.architecture,
        kind: facts.instance_type,
        public: wishes.public,
        auto_update: wishes.auto_update,
        cached: wishes.cached,
        split: facts.split,
        created_at: facts.creation_date,
        expires_at: facts.expiry_date,
        uploaded_at: now,
        last_used_at: 0,
        properties,
        profiles: if wishes.profiles.is_empty() { vec!["default".to_owned()] } else { wishes.profiles },
        metadata,
        source: wishes.source,
    })
}

/// The end of an import, which leaves either everything or nothing.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ImportImage {
    image: Image,
    aliases: Vec<(AliasName, String)>,
    /// Nameless files do not survive a crash; then there is nothing to place.
    #[serde(skip)]
    sinks: Option<Arc<Sinks>>,
}

impl ImportImage {
    fn rows(&self) -> impl Iterator<Item = Alias> + '_ {
        let alias = |(name, description): &(AliasName, String)| Alias {
            name: name.clone(),
            fingerprint: self.image.fingerprint.clone(),
            description: description.clone(),
        };
        self.aliases.iter().map(alias)
    }
}

impl Plan for ImportImage {
    const KIND: &'static str = "import-image";
    const STEPS: &'static [&'static str] = &["files"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        Vec::new() // its files are hulld's own
    }

    fn objects(&self) -> Vec<String> {
        vec![self.image.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, _: &OperationId) -> Result<(), ApiError> {
        let Some(sinks) = self.sinks.clone() else { return Err(ApiError::internal("the image's files are gone")) };
        let (hull, fingerprint, split) = (hull.clone(), self.image.fingerprint.clone(), self.image.split);
        let placed =
            tokio::task::spawn_blocking(move || hull.images.directory.place(&fingerprint, &sinks, split)).await;
        Ok(placed.map_err(|error| ApiError::internal(format!("placing the image's files failed: {error}")))??)
    }

    async fn undo(&mut self, _: &str, hull: &Hull, _: &OperationId) -> Result<(), ApiError> {
        match hull.images.find(&self.image.fingerprint) {
            Some(_) => Ok(()),
            None => Ok(hull.images.directory.remove(&self.image.fingerprint)?),
        }
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::put(tx, &self.image)?;
        self.rows().try_for_each(|alias| store::put_alias(tx, &alias))
    }

    fn published(self, hull: &Hull) {
        let url = self.image.url();
        let aliases: Vec<Alias> = self.rows().collect();
        hull.images.publish(self.image);
        hull.events.lifecycle("image-created", &url);
        for alias in aliases {
            let url = alias.name.url();
            hull.images.publish_alias(alias);
            hull.events.lifecycle("image-alias-created", &url);
        }
    }
}
