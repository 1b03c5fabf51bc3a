//! `POST /1.0/images`: a document that says where an image is, or the image itself.

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use hull_api::{ImagesPost, ImagesPostSource};
use serde_json::{Map, Value};

use super::import::{self, Existing, Wishes};
use super::model::Image;
use super::pull::{self, Remote};
use super::upload;
use crate::api::{ApiError, Body, Reply};
use crate::gateway::take_upload;
use crate::hull::Hull;
use crate::operations::{Class, Handle, Spec};

pub(super) async fn post(hull: Hull, request: Request) -> Reply {
    let headers = request.headers().clone();
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if content_type.starts_with("application/json") {
        let Body(bytes) = Body::from_request(request, &()).await?;
        return from_document(hull, parsed(&bytes)?);
    }
    let sinks = match take_upload(request.extensions()) {
        Some(upload) => {
            let sinks = upload::receive(&hull, upload.stream, &content_type).await?;
            if !upload.arriving.is_open() {
                return Err(ApiError::bad_request("The image did not arrive whole: its client went away"));
            }
            sinks
        }
        None => {
            let Body(bytes) = Body::from_request(request, &()).await?;
            // Clients that do not say what they send: a document parses, an image does not.
            if let Ok(document) = parsed(&bytes) {
                return from_document(hull, document);
            }
            upload::receive(&hull, upload::stream_of(&bytes)?, &content_type).await?
        }
    };
    let wishes = upload::wishes(&headers)?;
    let work_hull = hull.clone();
    hull.operations.start(downloading(), move |operation| async move {
        import::import(&work_hull, sinks, wishes, Existing::Refuse, Some(&operation)).await.map(drop)
    })
}

fn parsed(bytes: &[u8]) -> Result<ImagesPost, ApiError> {
    crate::api::document(bytes)
}

fn from_document(hull: Hull, post: ImagesPost) -> Reply {
    let source = post.source.clone().ok_or_else(|| ApiError::bad_request("Invalid images JSON"))?;
    match source.kind.as_str() {
        "image" if matches!(source.mode.as_str(), "" | "pull") => {}
        "image" => {
            return Err(ApiError::bad_request(format!("Images cannot be fetched in mode {:?} yet", source.mode)));
        }
        "instance" | "container" | "virtual-machine" | "snapshot" | "url" => {
            return Err(ApiError::bad_request(format!(
                "Images cannot be made from a source of type {:?} yet",
                source.kind
            )));
        }
        _ => return Err(ApiError::bad_request("Invalid images JSON")),
    }
    let work_hull = hull.clone();
    hull.operations.start(downloading().cancellable(), move |operation| async move {
        fetch(&work_hull, post, source, &operation).await
    })
}

async fn fetch(hull: &Hull, post: ImagesPost, source: ImagesPostSource, operation: &Handle) -> Result<(), ApiError> {
    let name = if source.alias.is_empty() { &source.fingerprint } else { &source.alias };
    let protocol = if source.protocol.is_empty() { "lxd" } else { &source.protocol };
    let remote = Remote::new(protocol, &source.server, name, &source.image_type);
    let wishes = Wishes {
        filename: post.filename,
        public: post.public,
        auto_update: post.auto_update,
        properties: post.properties,
        profiles: post.profiles,
        ..Wishes::default()
    };
    let image = pull::pull(hull, &remote, wishes, Some(operation)).await?;
    tell(&image, operation);
    wanted_by_user(hull, &image).await?;
    for alias in post.aliases {
        super::alias::create(hull, &alias.name, image.fingerprint.as_str(), alias.description).await?;
    }
    Ok(())
}

/// An image that was fetched for an instance is the user's own from now on.
async fn wanted_by_user(hull: &Hull, image: &Image) -> Result<(), ApiError> {
    if !image.cached {
        return Ok(());
    }
    let image = Image { cached: false, ..image.clone() };
    let row = image.clone();
    hull.database.write(move |tx| super::store::put(tx, &row)).await?;
    hull.images.publish(image);
    Ok(())
}

fn tell(image: &Image, operation: &Handle) {
    let known = [("fingerprint", image.fingerprint.to_string()), ("size", image.size.to_string())];
    operation.update(Map::from_iter(known.map(|(key, value)| (key.to_owned(), Value::String(value)))));
}

fn downloading() -> Spec {
    let (class, description, resources) = (Class::Task, "Downloading image".into(), Default::default());
    Spec { class, description, resources, may_cancel: false, load: None }
}
