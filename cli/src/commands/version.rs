//! Versions of the client and of the server.

use crate::context::Context;
use anyhow::Result;
use hull_api::Server;

/// Show the versions of the client and of the server
#[derive(Debug, clap::Args)]
pub(crate) struct Version {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
}

impl Version {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let version = match server.get::<Server>("/1.0").await {
            Ok(answer) if answer.environment.server_version.is_empty() => "unreachable".to_owned(),
            Ok(answer) => answer.environment.server_version,
            Err(_) => "unreachable".to_owned(),
        };
        cx.printer.line(format!("Client version: {}\nServer version: {version}", env!("CARGO_PKG_VERSION")));
        Ok(())
    }
}
