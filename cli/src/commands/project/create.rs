//! Creating a project.

use crate::client::url;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::ProjectsPost;

/// Create a project
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
    /// A key of the new project
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let config = strict_pairs(&self.config)?.into_iter().collect();
        let request = ProjectsPost { config, name, ..ProjectsPost::default() };
        server.change(Method::POST, &url(&["projects"]), &request, "").await?;
        cx.printer.done(format!("Project {} created", request.name));
        Ok(())
    }
}
