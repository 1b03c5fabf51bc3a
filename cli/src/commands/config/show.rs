//! The settings as YAML.

use super::target;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;

/// Show the settings of an instance or of the server as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:][INSTANCE[/SNAPSHOT]]")]
    target: Option<String>,
    /// With the profiles' keys and devices
    #[arg(short, long)]
    expanded: bool,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = target::load(cx, self.target.as_deref()).await?;
        if self.expanded {
            for field in ["config", "devices"] {
                if let Some(expanded) = keyed.value().get(&format!("expanded_{field}")).cloned() {
                    keyed.replace(field, expanded);
                }
            }
        }
        if self.target.as_ref().is_some_and(|target| target.contains('/')) {
            return show(cx, keyed.value()); // of a snapshot, everything
        }
        show(cx, &keyed.written())
    }
}
