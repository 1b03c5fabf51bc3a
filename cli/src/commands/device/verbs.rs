//! The verbs of devices, for each holder.

use super::holder::Holder;
use super::{add, key, list, over, remove, show};
use crate::context::Context;
use anyhow::Result;

/// The verbs that both holders know.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Common {
    Add(add::Add),
    Get(key::Get),
    #[command(visible_alias = "ls")]
    List(list::List),
    #[command(visible_alias = "rm")]
    Remove(remove::Remove),
    Set(key::Set),
    Show(show::Show),
    Unset(key::Unset),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum InstanceDevice {
    #[command(flatten)]
    Common(Common),
    Override(over::Override),
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ProfileDevice {
    #[command(flatten)]
    Common(Common),
}

impl InstanceDevice {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        match self {
            Self::Common(common) => common.run(Holder::Instance, cx).await,
            Self::Override(verb) => verb.run(cx).await,
        }
    }
}

impl ProfileDevice {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let Self::Common(common) = self;
        common.run(Holder::Profile, cx).await
    }
}

impl Common {
    async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        match self {
            Self::Add(verb) => verb.run(holder, cx).await,
            Self::Get(verb) => verb.run(holder, cx).await,
            Self::List(verb) => verb.run(holder, cx).await,
            Self::Remove(verb) => verb.run(holder, cx).await,
            Self::Set(verb) => verb.run(holder, cx).await,
            Self::Show(verb) => verb.run(holder, cx).await,
            Self::Unset(verb) => verb.run(holder, cx).await,
        }
    }
}
