//! Which profiles an instance has, and in which order: `add`, `remove`, `assign`.

use crate::client::url;
use crate::commands::keyed::{INSTANCE, Keyed};
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::Value;

/// Put a profile on top of those of an instance
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    profile: String,
}

/// Take a profile away from an instance
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    profile: String,
}

/// Give an instance exactly these profiles, separated by commas
#[derive(Debug, clap::Args)]
pub(crate) struct Assign {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    #[arg(value_name = "PROFILE,...")]
    profiles: String,
}

impl Add {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let name = change(cx, &self.instance, |profiles| {
            profiles.push(self.profile.clone());
            Ok(())
        })
        .await?;
        cx.printer.done(format!("Profile {} added to {name}", self.profile));
        Ok(())
    }
}

impl Remove {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let profile = &self.profile;
        let name = change(cx, &self.instance, |profiles| {
            if !profiles.contains(profile) {
                let name = self.instance.rsplit(':').next().unwrap_or_default();
                bail!("Profile {profile} isn't currently applied to {name}");
            }
            profiles.retain(|applied| applied != profile);
            Ok(())
        })
        .await?;
        cx.printer.done(format!("Profile {profile} removed from {name}"));
        Ok(())
    }
}

impl Assign {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let wanted: Vec<String> = self.profiles.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let shown = if wanted.is_empty() { "(none)".to_owned() } else { wanted.join(",") };
        let name = change(cx, &self.instance, |profiles| {
            *profiles = wanted;
            Ok(())
        })
        .await?;
        cx.printer.done(format!("Profiles {shown} applied to {name}"));
        Ok(())
    }
}

/// Changes the list of profiles of `instance` and returns its name.
async fn change(cx: &Context, instance: &str, apply: impl FnOnce(&mut Vec<String>) -> Result<()>) -> Result<String> {
    let (server, name) = cx.locate(instance)?;
    let mut keyed = Keyed::load(server, url(&["instances", &name]), INSTANCE).await?;
    let listed = keyed.value().get("profiles").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut profiles = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    apply(&mut profiles)?;
    keyed.replace("profiles", Value::from(profiles));
    keyed.save(cx).await?;
    Ok(name)
}
