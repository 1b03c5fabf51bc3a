//! Bringing an image of a source to the daemon.

use crate::client::url;
use crate::context::Context;
use crate::settings::Place;
use anyhow::{Result, bail};
use http::Method;
use hull_api::{ImagesPost, ImagesPostSource};
use serde_json::Value;

/// Have the daemon fetch an image from a source, such as `debian:bookworm`
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    #[arg(value_name = "REMOTE:IMAGE")]
    image: String,
    #[arg(value_name = "REMOTE:")]
    target: String,
    /// A name of the image here
    #[arg(long)]
    alias: Vec<String>,
    /// Keep it up to date
    #[arg(long)]
    auto_update: bool,
    /// Give it the names it has there
    #[arg(long)]
    copy_aliases: bool,
    /// Show it to everybody
    #[arg(long)]
    public: bool,
    /// An image of a virtual machine
    #[arg(long)]
    vm: bool,
}

impl Copy {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let origin = cx.settings.origin(&self.image)?;
        let server = cx.server_only(Some(&self.target))?;
        let Place::Images { protocol, server: address } = cx.settings.place(&origin.remote)? else {
            bail!("cannot copy `{}`: this version copies from sources of images only, not from daemons", self.image);
        };
        let request = ImagesPost {
            auto_update: self.auto_update,
            public: self.public,
            source: Some(ImagesPostSource {
                kind: "image".into(),
                mode: "pull".into(),
                protocol,
                server: address,
                alias: origin.name.clone(),
                image_type: if self.vm { "virtual-machine" } else { "container" }.into(),
                ..ImagesPostSource::default()
            }),
            ..ImagesPost::default()
        };
        let operation = server.start(Method::POST, &url(&["images"]), &request, "").await?;
        let done = cx.wait(&server, operation, "Copying the image").await?;
        let mut names = self.alias;
        names.extend(self.copy_aliases.then_some(origin.name));
        if let Some(fingerprint) = done.metadata.get("fingerprint").and_then(Value::as_str) {
            super::naming::name_image(&server, &names, fingerprint).await?;
        }
        cx.printer.done("Image copied successfully!");
        Ok(())
    }
}
