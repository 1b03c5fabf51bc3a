//! Deleting a profile.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete a profile
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let operation = server.start(Method::DELETE, &url(&["profiles", &name]), &(), "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Profile {name} deleted"));
        Ok(())
    }
}
