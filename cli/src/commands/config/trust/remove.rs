//! Trusting a client no more.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Trust a client no more
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    #[arg(value_name = "[REMOTE:]FINGERPRINT")]
    fingerprint: String,
}

impl Remove {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, fingerprint) = cx.locate(&self.fingerprint)?;
        server.change(Method::DELETE, &url(&["certificates", &fingerprint]), &(), "").await
    }
}
