//! Copying a profile.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{Profile, ProfilesPost};

/// Copy a profile
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    source: String,
    #[arg(value_name = "[REMOTE:]PROFILE")]
    target: String,
    /// Copy into this project
    #[arg(long, value_name = "PROJECT")]
    target_project: Option<String>,
}

impl Copy {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.source)?;
        let (mut target, new_name) = cx.locate(&self.target)?;
        target.project = self.target_project.or(target.project);
        let profile: Profile = server.get(&url(&["profiles", &name])).await?;
        let request = ProfilesPost {
            config: profile.config,
            description: profile.description,
            devices: profile.devices,
            name: if new_name.is_empty() { name } else { new_name },
        };
        target.change(Method::POST, &url(&["profiles"]), &request, "").await
    }
}
