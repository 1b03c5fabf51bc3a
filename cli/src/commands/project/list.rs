//! The list of projects.

use crate::client::url;
use crate::commands::{header, yes_no};
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::Project;

/// List the projects
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let projects: Vec<Project> = server.get(&(url(&["projects"]) + "?recursion=1")).await?;
        let current = Context::project_of(&server);
        let mut rows: Vec<Vec<String>> = projects.iter().map(|project| row(project, current)).collect();
        sort_naturally(&mut rows);
        let header = header(&["NAME", "IMAGES", "PROFILES", "STORAGE VOLUMES", "NETWORKS", "DESCRIPTION", "USED BY"]);
        Listing { header: &header, rows: &rows, values: &projects }.print(&cx.printer, self.format)
    }
}

fn row(project: &Project, current: &str) -> Vec<String> {
    let has =
        |feature: &str| yes_no(project.config.get(&format!("features.{feature}")).is_some_and(|value| value == "true"));
    let mark = if project.name == current { " (current)" } else { "" };
    vec![
        format!("{}{mark}", project.name),
        has("images"),
        has("profiles"),
        has("storage.volumes"),
        has("networks"),
        project.description.clone(),
        project.used_by.len().to_string(),
    ]
}
