//! Changing the list of remotes: default, removal, name, URL.

use crate::context::Context;
use anyhow::{Result, bail};

/// Print the remote that is used when none is named
#[derive(Debug, clap::Args)]
pub(crate) struct GetDefault {}

/// Use this remote when none is named
#[derive(Debug, clap::Args)]
pub(crate) struct Switch {
    remote: String,
}

/// Forget a remote
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    remote: String,
}

/// Rename a remote
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    remote: String,
    new_name: String,
}

/// Change the URL of a remote
#[derive(Debug, clap::Args)]
pub(crate) struct SetUrl {
    remote: String,
    url: String,
}

impl GetDefault {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        cx.printer.line(&cx.settings.default_remote);
        Ok(())
    }
}

impl Switch {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        if !settings.remotes.contains_key(&self.remote) {
            bail!("Remote {} doesn't exist", self.remote);
        }
        settings.default_remote = self.remote;
        settings.save()
    }
}

impl Remove {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        settings.changeable(&self.remote)?;
        if settings.default_remote == self.remote {
            bail!("Can't remove the default remote");
        }
        settings.remotes.remove(&self.remote);
        settings.save()
    }
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        let entry = settings.changeable(&self.remote)?.clone();
        if settings.remotes.contains_key(&self.new_name) {
            bail!("Remote {} already exists", self.new_name);
        }
        settings.remotes.remove(&self.remote);
        settings.remotes.insert(self.new_name.clone(), entry);
        if settings.default_remote == self.remote {
            settings.default_remote = self.new_name;
        }
        settings.save()
    }
}

impl SetUrl {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        settings.changeable(&self.remote)?.addr = self.url;
        settings.save()
    }
}
