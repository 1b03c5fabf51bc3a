//! The console: a session through the gateway, and what was printed last.

use std::os::fd::AsFd;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use hull_api::{InstanceConsolePost, InstanceExecControl};
use hull_gateway_contract::{ReplyBody, Upgrade};
use hull_plugin::instance::TerminalSize;
use hull_plugin::{FileFd, SocketFd};
use hull_sys::message;
use serde_json::{Map, Value};

use super::exec_control;
use super::registry::Entry;
use crate::api::{ApiError, Reply, empty};
use crate::gateway::descriptor_response;
use crate::hull::Hull;
use crate::operations::{Class, Spec, Websockets};
use crate::sys::Packets;

/// `POST /1.0/instances/NAME/console`
pub(super) async fn attach(hull: &Hull, entry: Arc<Entry>, post: InstanceConsolePost) -> Result<Response, ApiError> {
    entry.running()?;
    if !matches!(post.kind.as_str(), "" | "console") {
        return Err(ApiError::bad_request(match post.kind.as_str() {
            "vga" => "VGA console is only supported by virtual machines".to_owned(),
            other => format!("Unknown console type {other:?}"),
        }));
    }
    let record = entry.record();
    let driver = hull.plugins.instance(&record.driver)?;
    let session = driver.console(&record.name.id()).await?;
    let cut = |number: i64| u16::try_from(number).ok().filter(|n| *n > 0);
    if let (Some(columns), Some(rows)) = (cut(post.width), cut(post.height)) {
        driver.resize_console(&record.name.id(), TerminalSize { columns, rows }).await?;
    }
    let (ours, theirs) = message::packet_pair().map_err(no_descriptor)?;
    let control = Packets::new(ours).map_err(no_descriptor)?;
    let input = session.try_clone().map_err(no_descriptor)?;
    let ends = [
        ("0", Upgrade::Stream { output: Some(session), input: Some(input) }),
        ("control", Upgrade::Messages(SocketFd::new(theirs))),
    ];
    let (mut secrets, mut websockets) = (Map::new(), Vec::new());
    for (name, end) in ends {
        let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        secrets.insert(name.to_owned(), Value::String(secret.clone()));
        websockets.push((secret, end));
    }
    let metadata = Map::from_iter([("fds".to_owned(), Value::Object(secrets))]);
    let url = record.name.url();
    let spec = Spec {
        class: Class::Websocket,
        ..Spec::task("Showing console", "instances", url.clone()).also("containers", url)
    };
    let hull_for_task = hull.clone();
    hull.operations.start_with(spec, metadata, Some(Websockets::new(websockets)), move |operation| async move {
        tokio::select! {
            () = serve(&hull_for_task, &entry, control) => Ok(()),
            () = operation.given_up() => Err(ApiError::bad_request("The operation was cancelled")),
        }
    })
}

/// The session lasts as long as its control websocket.
async fn serve(hull: &Hull, entry: &Entry, control: Packets) {
    let record = entry.record();
    let mut stopped = entry.watch_live();
    let mut buffer = vec![0; 4096];
    loop {
        let packet = tokio::select! {
            packet = control.receive(&mut buffer) => packet,
            _ = stopped.wait_for(|live| live.running().is_none()) => return,
        };
        let Some(packet) = packet else { return };
        let Ok(message) = serde_json::from_slice::<InstanceExecControl>(packet) else { continue };
        let Some(size) = exec_control::size_of(&message) else { continue };
        if let Ok(driver) = hull.plugins.instance(&record.driver)
            && let Err(error) = driver.resize_console(&record.name.id(), size).await
        {
            tracing::debug!(%error, "cannot resize the console");
        }
    }
}

/// `GET /1.0/instances/NAME/console`: the ring buffer.
pub(super) async fn log(hull: &Hull, entry: &Entry) -> Reply {
    let record = entry.record();
    if entry.live().running().is_none() {
        return Ok(axum::body::Body::empty().into_response());
    }
    let log = hull.plugins.instance(&record.driver)?.console_log(&record.name.id()).await?;
    let length = nix::sys::stat::fstat(log.as_fd()).map_err(no_descriptor)?.st_size;
    let length = u64::try_from(length).unwrap_or_default();
    let headers = [("content-type", "application/octet-stream")];
    Ok((headers, descriptor_response(ReplyBody::File { file: FileFd::new(log.into_owned()), start: 0, length }))
        .into_response())
}

/// `DELETE /1.0/instances/NAME/console`
pub(super) async fn clear(hull: &Hull, entry: &Entry) -> Reply {
    let record = entry.record();
    entry.running()?;
    hull.plugins.instance(&record.driver)?.clear_console_log(&record.name.id()).await?;
    empty()
}

fn no_descriptor(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("cannot set up the console's streams: {error}"))
}
