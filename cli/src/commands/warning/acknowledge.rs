//! Marking a warning as seen.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::WarningPut;

/// Mark a warning as seen
#[derive(Debug, clap::Args)]
pub(crate) struct Acknowledge {
    #[arg(value_name = "[REMOTE:]WARNING")]
    id: String,
}

impl Acknowledge {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, id) = cx.locate(&self.id)?;
        let seen = WarningPut { status: "acknowledged".into() };
        server.change(Method::PUT, &url(&["warnings", &id]), &seen, "").await
    }
}
