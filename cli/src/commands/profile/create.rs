//! Creating a profile.

use crate::client::url;
use crate::context::Context;
use crate::output::parse_yaml;
use anyhow::{Context as _, Result};
use http::Method;
use hull_api::{ProfilePut, ProfilesPost};

/// Create a profile, empty or from YAML on stdin
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let put: ProfilePut = match cx.piped()? {
            Some(text) => parse_yaml(&text).context("cannot read the profile from stdin")?,
            None => ProfilePut::default(),
        };
        let request = ProfilesPost { config: put.config, description: put.description, devices: put.devices, name };
        server.change(Method::POST, &url(&["profiles"]), &request, "").await?;
        cx.printer.done(format!("Profile {} created", request.name));
        Ok(())
    }
}
