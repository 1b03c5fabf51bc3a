//! Files of an instance, running or not. Their bytes go between the gateway and descriptors that the driver opened inside
//! the instance: hulld opens no path of a tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use hull_gateway_contract::ReplyBody;
use hull_plugin::instance::{FileContent, FileFound, FilesAt, NewFile, NewFileKind, Preparation};
use hull_plugin::{MountFd, OperationId};
use serde_json::json;

use super::registry::{Entry, Live};
use super::{cgroup, devices, idmap, settle};
use crate::api::{ApiError, Reply, empty, sync};
use crate::gateway::descriptor_response;
use crate::hull::Hull;

/// The longest list of names in a directory, in bytes of JSON.
/// How long a request waits for another verb on a stopped instance.
const OTHERS: Duration = Duration::from_secs(30);
const LONGEST_LISTING: u64 = 16 << 20;

/// `GET /1.0/instances/NAME/files?path=`
pub(super) async fn read(hull: &Hull, entry: &Arc<Entry>, path: &str) -> Reply {
    let record = entry.record();
    let found = with_files(hull, entry, path, async |at| {
        hull.plugins.instance(&record.driver)?.read_file(at).await.map_err(ApiError::from)
    });
    let found = found.await?;
    hull.events.lifecycle_with("instance-file-retrieved", &record.name.url(), json!({"path": path}));
    answer(found, path).await
}

/// `POST /1.0/instances/NAME/files?path=`: the body, if any, is written by the gateway.
pub(super) async fn write(hull: &Hull, entry: &Arc<Entry>, path: &str, headers: &HeaderMap, upload: Upload) -> Reply {
    let record = entry.record();
    let file = new_file(headers, upload).await?;
    let made = with_files(hull, entry, path, async |at| {
        hull.plugins.instance(&record.driver)?.write_file(at, &file).await.map_err(ApiError::from)
    });
    let sink = made.await?;
    hull.events.lifecycle_with("instance-file-pushed", &record.name.url(), json!({"path": path}));
    let Some(sink) = sink else { return empty() };
    let envelope = http_body_util::BodyExt::collect(empty()?.into_body()).await;
    let body = envelope.map_err(|error| ApiError::internal(error.to_string()))?.to_bytes().to_vec();
    Ok(([("content-type", "application/json")], descriptor_response(ReplyBody::Sink { sink, body })).into_response())
}

/// `DELETE /1.0/instances/NAME/files?path=`
pub(super) async fn delete(hull: &Hull, entry: &Arc<Entry>, path: &str) -> Reply {
    let record = entry.record();
    let deleted = with_files(hull, entry, path, async |at| {
        hull.plugins.instance(&record.driver)?.delete_file(at).await.map_err(ApiError::from)
    });
    deleted.await?;
    hull.events.lifecycle_with("instance-file-deleted", &entry.record().name.url(), json!({"path": path}));
    empty()
}

/// The small body of a request that makes a link; larger ones are never read here.
pub(super) type Upload = axum::extract::Request;

/// Runs `work` on the files: in the running instance, or in the root volume mounted for this call alone.
async fn with_files<T>(
    hull: &Hull,
    entry: &Arc<Entry>,
    path: &str,
    work: impl AsyncFnOnce(&FilesAt) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    if path.is_empty() {
        return Err(ApiError::bad_request("Missing path argument"));
    }
    // LXD's client leaves the first slash out; the instance's root is where every path begins.
    let path = format!("/{}", path.trim_start_matches('/'));
    let instance = entry.record().name.id();
    let at = |stopped_root| FilesAt { instance: instance.clone(), stopped_root, path: path.clone() };
    if !matches!(entry.live(), Live::Stopped) {
        return work(&at(None)).await;
    }
    let _busy = entry.claim_within(OTHERS, "files").await?;
    let operation = OperationId::random();
    let result = match mounted_root(hull, entry, &operation).await {
        Ok(root) => work(&at(Some(root))).await,
        Err(error) => Err(error),
    };
    let record = entry.record();
    settle::release(hull, &record, &Default::default(), &Default::default(), &operation).await;
    result
}

/// The root volume of a stopped instance, its owners mapped as they are when it runs.
async fn mounted_root(hull: &Hull, entry: &Entry, operation: &OperationId) -> Result<MountFd, ApiError> {
    let record = entry.record();
    let map = idmap::default_map();
    let cgroup = cgroup::make(hull, &record, &record.config, &map)?;
    let preparation = Preparation { instance: record.name.id(), idmap: map, cgroup };
    let prepared = hull.plugins.instance(&record.driver)?.prepare(operation, &preparation).await?;
    let root = devices::mount_root(hull, &record, operation).await?;
    if let Some(user_namespace) = &prepared.user_namespace {
        devices::idmap(&root, user_namespace)?;
    }
    Ok(root)
}

async fn answer(found: FileFound, path: &str) -> Reply {
    let kind = match &found.content {
        FileContent::File(..) => "file",
        FileContent::Link(_) => "symlink",
        FileContent::Directory(_) => "directory",
    };
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let disposition = HeaderValue::from_bytes(format!("inline;filename={name}").as_bytes()).ok();
    let mut response = match found.content {
        FileContent::File(file, length) => octets(descriptor_response(ReplyBody::File { file, start: 0, length })),
        FileContent::Link(target) => octets(target.into_response()),
        FileContent::Directory(names) => {
            let names = crate::sys::read_memory(names.into_owned(), LONGEST_LISTING)
                .map_err(|error| ApiError::internal(error.to_string()))?;
            let names: Vec<String> =
                serde_json::from_slice(&names).map_err(|error| ApiError::internal(error.to_string()))?;
            sync(&names)?
        }
    };
    let headers = [
        ("x-lxd-uid", found.user.to_string()),
        ("x-lxd-gid", found.group.to_string()),
        ("x-lxd-mode", format!("{:04o}", found.mode & 0o7777)),
        ("x-lxd-type", kind.to_owned()),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).map_err(|error| ApiError::internal(error.to_string()))?;
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    if let Some(disposition) = disposition.filter(|_| kind != "directory") {
        response.headers_mut().insert(http::header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn octets(response: Response) -> Response {
    ([("content-type", "application/octet-stream")], response).into_response()
}

async fn new_file(headers: &HeaderMap, upload: Upload) -> Result<NewFile, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let number = |name: &str| text(name).map(|value| value.parse().map_err(|_| invalid(name, value))).transpose();
    let mode = text("x-lxd-mode").map(|value| u32::from_str_radix(value, 8).map_err(|_| invalid("x-lxd-mode", value)));
    let kind = match (text("x-lxd-type").unwrap_or("file"), text("x-lxd-write").unwrap_or("overwrite")) {
        ("file", "overwrite") => NewFileKind::File,
        ("file", "append") => NewFileKind::Append,
        ("file", other) => return Err(ApiError::bad_request(format!("Bad file write mode: {other}"))),
        ("directory", _) => NewFileKind::Directory,
        ("symlink", _) => NewFileKind::Link(link_target(upload).await?),
        (other, _) => return Err(ApiError::bad_request(format!("Bad file type: {other}"))),
    };
    Ok(NewFile { kind, user: number("x-lxd-uid")?, group: number("x-lxd-gid")?, mode: mode.transpose()? })
}

async fn link_target(upload: Upload) -> Result<String, ApiError> {
    let crate::api::Body(bytes) =
        <crate::api::Body as axum::extract::FromRequest<()>>::from_request(upload, &()).await?;
    String::from_utf8(bytes.into()).map_err(|_| ApiError::bad_request("The target of a symbolic link must be UTF-8"))
}

fn invalid(header: &str, value: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid value for {header}: {value}"))
}
