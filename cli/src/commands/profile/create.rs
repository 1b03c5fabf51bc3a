//! Creating a profile.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::ProfilesPost;

/// Create a profile, an empty one
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let request = ProfilesPost { name, ..ProfilesPost::default() };
        server.change(Method::POST, &url(&["profiles"]), &request, "").await?;
        cx.printer.done(format!("Profile {} created", request.name));
        Ok(())
    }
}
