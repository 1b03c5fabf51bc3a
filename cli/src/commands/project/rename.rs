//! Renaming a project.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::ProjectPost;

/// Rename a project
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
    new_name: String,
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let request = ProjectPost { name: self.new_name };
        let operation = server.start(Method::POST, &url(&["projects", &name]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Project {name} renamed to {}", request.name));
        Ok(())
    }
}
