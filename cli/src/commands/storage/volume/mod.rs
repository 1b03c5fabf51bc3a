//! Volumes of storage pools.

mod create;
mod delete;
mod edit;
mod get;
mod list;
mod rename;
mod set;
mod show;
mod unset;

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::commands::verbs;
use crate::context::Context;
use anyhow::Result;

verbs! {
    Volume {
        Create(create::Create),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Edit(edit::Edit),
        Get(get::Get),
        #[command(visible_alias = "ls")]
        List(list::List),
        #[command(visible_alias = "mv")]
        Rename(rename::Rename),
        Set(set::Set),
        Show(show::Show),
        Unset(unset::Unset),
    }
}

/// Splits `[TYPE/]NAME`; custom volumes need no type.
fn kind_and_name(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((kind @ ("container" | "virtual-machine" | "image" | "custom"), name)) => (kind, name),
        _ => ("custom", text),
    }
}

/// The volume, to read and write its keys.
async fn keyed(cx: &Context, pool: &str, volume: &str) -> Result<Keyed> {
    let (server, pool) = cx.locate(pool)?;
    let (kind, name) = kind_and_name(volume);
    Keyed::load(server, url(&["storage-pools", &pool, "volumes", kind, name]), DESCRIBED).await
}
