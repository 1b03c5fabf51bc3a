//! Adding, removing and renaming aliases.

use crate::context::Context;
use anyhow::{Result, bail};

/// Add an alias; `@ARGS@` in its target marks where further words go
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    alias: String,
    target: String,
}

/// Remove an alias
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    alias: String,
}

/// Rename an alias
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    alias: String,
    new_name: String,
}

impl Add {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        if settings.aliases.contains_key(&self.alias) {
            bail!("Alias {} already exists", self.alias);
        }
        settings.aliases.insert(self.alias, self.target);
        settings.save()
    }
}

impl Remove {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        if settings.aliases.remove(&self.alias).is_none() {
            bail!("Alias {} doesn't exist", self.alias);
        }
        settings.save()
    }
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut settings = cx.settings.clone();
        let Some(target) = settings.aliases.remove(&self.alias) else { bail!("Alias {} doesn't exist", self.alias) };
        if settings.aliases.contains_key(&self.new_name) {
            bail!("Alias {} already exists", self.new_name);
        }
        settings.aliases.insert(self.new_name, target);
        settings.save()
    }
}
