//! Renaming a profile.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::ProfilePost;

/// Rename a profile
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
    new_name: String,
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let request = ProfilePost { name: self.new_name };
        let operation = server.start(Method::POST, &url(&["profiles", &name]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Profile {name} renamed to {}", request.name));
        Ok(())
    }
}
