//! The verbs of images.

use super::{alias, copy, delete, edit, export, import, info, list, property, refresh, show};
use crate::commands::verbs;

verbs! {
    Image {
        /// Names of images
        #[command(subcommand)]
        Alias(alias::Alias),
        #[command(visible_alias = "cp")]
        Copy(copy::Copy),
        #[command(visible_alias = "rm")]
        Delete(delete::Delete),
        Edit(edit::Edit),
        Export(export::Export),
        GetProperty(property::GetProperty),
        Import(import::Import),
        Info(info::Info),
        #[command(visible_alias = "ls")]
        List(list::List),
        Refresh(refresh::Refresh),
        SetProperty(property::SetProperty),
        Show(show::Show),
        UnsetProperty(property::UnsetProperty),
    }
}

use crate::client::{Server, url};
use crate::commands::create::fingerprint;
use crate::commands::keyed::{IMAGE, Keyed};
use crate::context::Context;
use anyhow::Result;

/// The server and the path of the image that `[REMOTE:]IMAGE` means.
pub(super) async fn locate(cx: &Context, text: &str) -> Result<(Server, String)> {
    let (server, name) = cx.locate(text)?;
    let path = url(&["images", &fingerprint(&server, &name).await?]);
    Ok((server, path))
}

pub(super) async fn load(cx: &Context, text: &str) -> Result<Keyed> {
    let (server, path) = locate(cx, text).await?;
    Keyed::load(server, path, IMAGE).await
}

/// Size of an image as LXD prints it: binary megabytes under the name of decimal ones.
pub(super) fn megabytes(bytes: i64) -> String {
    format!("{:.2}MB", bytes as f64 / 1024.0 / 1024.0)
}
