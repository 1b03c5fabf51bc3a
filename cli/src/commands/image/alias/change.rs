//! Creating, deleting and renaming aliases.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{ImageAliasesEntryPost, ImageAliasesPost};

/// Give an image a name
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]ALIAS")]
    alias: String,
    fingerprint: String,
}

/// Delete the name of an image, not the image
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]ALIAS")]
    alias: String,
}

/// Rename an alias
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]ALIAS")]
    alias: String,
    new_name: String,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.alias)?;
        let request = ImageAliasesPost { name, target: self.fingerprint, ..ImageAliasesPost::default() };
        server.change(Method::POST, &url(&["images", "aliases"]), &request, "").await
    }
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.alias)?;
        server.change(Method::DELETE, &url(&["images", "aliases", &name]), &(), "").await
    }
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.alias)?;
        let request = ImageAliasesEntryPost { name: self.new_name };
        server.change(Method::POST, &url(&["images", "aliases", &name]), &request, "").await
    }
}
