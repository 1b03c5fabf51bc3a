//! Adding a remote.

use crate::context::Context;
use crate::settings::RemoteEntry;
use anyhow::{Result, bail};

/// Add a remote: the socket of another daemon (`unix:///PATH`) or a source of images
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    name: String,
    url: String,
    /// What is spoken there: lxd or the name of an image source
    #[arg(long, default_value = "lxd")]
    protocol: String,
    /// Project to use there
    #[arg(long)]
    project: Option<String>,
    /// Nothing there needs trust
    #[arg(long)]
    public: bool,
}

impl Add {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        if let Some(known) = settings.remotes.get(&self.name) {
            bail!("Remote {} exists as <{}>", self.name, known.addr);
        }
        if self.name.contains([':', '/']) {
            bail!("`{}` cannot be the name of a remote: it has a colon or a slash", self.name);
        }
        if self.protocol == "lxd" && !self.url.starts_with("unix:") {
            bail!(
                "cannot add `{}` at `{}`: this version speaks to daemons over Unix sockets only\nhint: unix:///PATH/unix.socket",
                self.name,
                self.url
            );
        }
        let entry = RemoteEntry {
            public: self.public || self.protocol != "lxd",
            addr: self.url,
            protocol: self.protocol,
            project: self.project.unwrap_or_default(),
            ..RemoteEntry::default()
        };
        settings.remotes.insert(self.name, entry);
        settings.save()
    }
}
