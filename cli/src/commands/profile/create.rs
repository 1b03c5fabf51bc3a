//! Creating a profile.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{ProfilePut, ProfilesPost};

/// Create a profile, empty or from a file of YAML (`< FILE`)
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let ProfilePut { config, description, devices } = cx.redirected()?;
        let request = ProfilesPost { config, description, devices, name };
        server.change(Method::POST, &url(&["profiles"]), &request, "").await?;
        cx.printer.done(format!("Profile {} created", request.name));
        Ok(())
    }
}
