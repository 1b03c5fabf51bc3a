//! The image contract: where images come from, and what an image file is.

use serde::{Deserialize, Serialize};

use crate::{ConfigMap, DriverError, FileFd, Fingerprint, MemoryFd, OperationId, StreamFd};

/// What a user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageQuery {
    /// The remote's address, for protocols that have one; else empty.
    pub server: String,
    /// `bookworm`, `trixie/amd64`, a fingerprint.
    pub alias: String,
    /// `x86_64`
    pub architecture: String,
    /// `container` or `virtual-machine`
    pub instance_type: String,
}

/// An image that a source can deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceImage {
    /// Stable for one content: Hull fetches again only when it changes.
    pub id: String,
    pub aliases: Vec<String>,
    pub architecture: String,
    pub instance_type: String,
    pub properties: ConfigMap,
    /// Known before it is fetched by sources that publish it.
    pub fingerprint: Option<Fingerprint>,
    /// Bytes, if known.
    pub size: Option<u64>,
}

/// Empty files, open for writing, that a source fills.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageSinks {
    pub metadata: FileFd,
    pub rootfs: FileFd,
}

/// What an image file says about itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageFacts {
    /// SHA-256 of the unified tarball, or of the metadata tarball followed by the root file system.
    pub fingerprint: Fingerprint,
    pub size: u64,
    pub architecture: String,
    /// Seconds since the epoch; 0: not said.
    pub creation_date: i64,
    pub expiry_date: i64,
    /// `container` or `virtual-machine`
    pub instance_type: String,
    /// `properties` of metadata.yaml.
    pub properties: ConfigMap,
    /// All of metadata.yaml, as JSON, for templates and later use.
    pub metadata: MemoryFd,
    /// Whether the rootfs file is used (split image).
    pub split: bool,
}

/// Every method *ensures*. `Description::capabilities`: `protocol:WORD` for each value of an image source's `protocol` it
/// serves (users' remotes name it), `inspect` if it implements `receive` and `inspect`.
#[tarpc::service]
pub trait ImageSource {
    /// # Errors
    /// `NotFound`: no such alias. `Unsupported`: not this kind of driver.
    async fn resolve(query: ImageQuery) -> Result<SourceImage, DriverError>;
    /// What is on offer, as a JSON array of [`SourceImage`].
    async fn list(server: String) -> Result<MemoryFd, DriverError>;
    /// Fills the sinks (the rootfs stays empty for a unified image). Reports progress.
    async fn fetch(
        op: OperationId,
        query: ImageQuery,
        image: SourceImage,
        sinks: ImageSinks,
    ) -> Result<(), DriverError>;

    /// Takes an upload apart into the sinks: `content_type` is HTTP's, `multipart/form-data` for split images
    /// (parts `metadata` and `rootfs` or `rootfs.img`), anything else for a unified one.
    ///
    /// # Errors
    /// `Corrupt`: malformed, or more than `max_bytes`.
    async fn receive(
        op: OperationId,
        upload: StreamFd,
        content_type: String,
        max_bytes: u64,
        sinks: ImageSinks,
    ) -> Result<(), DriverError>;
    /// Reads an image's metadata and computes its fingerprint.
    ///
    /// # Errors
    /// `Corrupt`: no metadata.yaml, or it does not parse.
    async fn inspect(metadata: FileFd, rootfs: Option<FileFd>) -> Result<ImageFacts, DriverError>;
}
