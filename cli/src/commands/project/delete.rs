//! Deleting a project.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete a project
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let operation = server.start(Method::DELETE, &url(&["projects", &name]), &(), "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Project {name} deleted"));
        Ok(())
    }
}
