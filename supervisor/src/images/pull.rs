//! Fetching an image from where a protocol's driver finds it. What was fetched before is taken from here.

use std::sync::Arc;

use hull_plugin::image::{ImageQuery, SourceImage};
use hull_plugin::{Code, OperationId};

use super::import::{self, Existing, Wishes};
use super::model::{Image, Source};
use super::progress::reported;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::Handle;
use crate::plugins::ImageHandle;

/// Which image of which remote.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) protocol: String,
    pub(super) query: ImageQuery,
}

impl Remote {
    /// An alias or fingerprint of a remote, for the machine's architecture.
    pub(super) fn new(protocol: &str, server: &str, alias: &str, kind: &str) -> Self {
        let query = ImageQuery {
            server: server.to_owned(),
            alias: alias.to_owned(),
            architecture: crate::server::architecture(),
            instance_type: if kind.is_empty() { "container" } else { kind }.to_owned(),
        };
        Self { protocol: protocol.to_owned(), query }
    }

    pub(super) async fn driver(&self, hull: &Hull) -> Result<ImageHandle, ApiError> {
        hull.plugins.image_by_protocol(&self.protocol).await.map_err(|error| match error.code {
            Code::Unsupported => ApiError::bad_request(format!("Unsupported protocol: {}", self.protocol)),
            _ => error.into(),
        })
    }

    pub(super) fn source(&self, found: &SourceImage) -> Source {
        Source {
            protocol: self.protocol.clone(),
            server: self.query.server.clone(),
            alias: self.query.alias.clone(),
            id: found.id.clone(),
        }
    }
}

/// The image of a remote, fetched unless it is here.
pub(super) async fn pull(
    hull: &Hull,
    remote: &Remote,
    wishes: Wishes,
    operation: Option<&Handle>,
) -> Result<Arc<Image>, ApiError> {
    let ImageQuery { server, alias, architecture, instance_type } = &remote.query;
    let key = format!("pull/{}/{server}/{alias}/{architecture}/{instance_type}", remote.protocol);
    let cancelled = || ApiError::bad_request("The operation was cancelled: nothing of the image is kept");
    let _flight = tokio::select! {
        flight = hull.images.flights.board(key) => flight,
        () = given_up(operation) => return Err(cancelled()),
    };
    let driver = remote.driver(hull).await?;
    let found = driver.resolve(&remote.query).await?;
    let source = remote.source(&found);
    if let Some(image) = hull.images.by_source(&source, &found.architecture, &found.instance_type) {
        return Ok(image);
    }
    if let Some(image) = found.fingerprint.as_ref().and_then(|fingerprint| hull.images.find(fingerprint)) {
        return Ok(image);
    }
    let sinks = hull.images.directory.sinks()?;
    let lent = sinks.lent().map_err(|error| ApiError::internal(format!("cannot copy a descriptor: {error}")))?;
    let fetching = OperationId::random();
    let fetched = driver.fetch(&fetching, &remote.query, &found, &lent);
    let fetched = reported(hull, &fetching, "download_progress", operation, fetched);
    tokio::select! {
        fetched = fetched => fetched?,
        // The driver hears that nobody waits any more and ends its work; the nameless files go with their last descriptor.
        () = given_up(operation) => return Err(cancelled()),
    }
    let mut properties = found.properties.clone();
    properties.extend(wishes.properties);
    let wishes = Wishes { properties, source: Some(source), fingerprint: found.fingerprint, ..wishes };
    import::import(hull, sinks, wishes, Existing::Take, operation).await
}

async fn given_up(operation: Option<&Handle>) {
    match operation {
        Some(operation) => operation.given_up().await,
        None => std::future::pending().await,
    }
}
