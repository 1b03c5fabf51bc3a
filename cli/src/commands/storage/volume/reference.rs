//! Which volume a command is about.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::context::Context;
use anyhow::Result;

/// Splits `[TYPE/]NAME`; custom volumes need no type.
pub(super) fn kind_and_name(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((kind @ ("container" | "virtual-machine" | "image" | "custom"), name)) => (kind, name),
        _ => ("custom", text),
    }
}

/// The volume, to read and write its keys.
pub(super) async fn keyed(cx: &Context, pool: &str, volume: &str) -> Result<Keyed> {
    let (server, pool) = cx.locate(pool)?;
    let (kind, name) = kind_and_name(volume);
    Keyed::load(server, url(&["storage-pools", &pool, "volumes", kind, name]), DESCRIBED).await
}
