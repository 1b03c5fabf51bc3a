//! Trusting a client by its certificate.

use crate::client::url;
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::Method;
use hull_api::CertificatesPost;

/// Trust the client with this certificate, a PEM file
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[arg(value_name = "[REMOTE:] CERTIFICATE", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Name of the certificate [default: that of the file]
    #[arg(long)]
    name: Option<String>,
    /// Projects the client is limited to, separated by commas
    #[arg(long, value_delimiter = ',')]
    projects: Vec<String>,
    /// Limit the client to projects
    #[arg(long)]
    restricted: bool,
    /// Kind of certificate
    #[arg(long = "type", default_value = "client")]
    kind: String,
}

impl Add {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (remote, file) = match self.words.as_slice() {
            [remote, file] => (Some(remote.as_str()), file),
            [file] => (None, file),
            _ => bail!("Invalid number of arguments"),
        };
        let server = cx.server_only(remote)?;
        let pem = std::fs::read_to_string(file).with_context(|| format!("cannot read the certificate `{file}`"))?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let stem = std::path::Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let request = CertificatesPost {
            name: self.name.unwrap_or(stem),
            kind: self.kind,
            restricted: self.restricted,
            projects: self.projects,
            certificate: body,
            ..CertificatesPost::default()
        };
        server.change(Method::POST, &url(&["certificates"]), &request, "").await
    }
}
