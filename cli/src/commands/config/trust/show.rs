//! A trusted client as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Certificate;

/// Show a trusted client as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]FINGERPRINT")]
    fingerprint: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, fingerprint) = cx.locate(&self.fingerprint)?;
        show(cx, &server.get::<Certificate>(&url(&["certificates", &fingerprint])).await?)
    }
}
