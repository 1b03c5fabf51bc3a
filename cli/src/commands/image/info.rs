//! About an image.

use super::megabytes;
use crate::context::Context;
use crate::output::long_date;
use anyhow::Result;
use hull_api::{Image, Timestamp};
use std::fmt::Write as _;

/// Show what is known about an image
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    /// An image of a virtual machine
    #[arg(long)]
    vm: bool,
}

impl Info {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, path) = super::locate(cx, &self.image).await?;
        cx.printer.text(described(&server.get(&path).await?)?);
        Ok(())
    }
}

fn described(image: &Image) -> Result<String> {
    let mut text = String::new();
    let yes_no = |truth: bool| if truth { "yes" } else { "no" };
    let kind = if image.kind.is_empty() { "container" } else { &image.kind };
    writeln!(text, "Fingerprint: {}\nSize: {}", image.fingerprint, megabytes(image.size))?;
    writeln!(text, "Architecture: {}\nType: {kind}\nPublic: {}", image.architecture, yes_no(image.public))?;
    writeln!(text, "Timestamps:")?;
    if image.created_at.is_set() {
        writeln!(text, "    Created: {}", long_date(image.created_at))?;
    }
    writeln!(text, "    Uploaded: {}", long_date(image.uploaded_at))?;
    writeln!(text, "    Expires: {}\n    Last used: {}", or_never(image.expires_at), or_never(image.last_used_at))?;
    writeln!(text, "Properties:")?;
    for (key, value) in &image.properties {
        writeln!(text, "    {key}: {value}")?;
    }
    writeln!(text, "Aliases:")?;
    for alias in &image.aliases {
        let description =
            if alias.description.is_empty() { String::new() } else { format!(" ({})", alias.description) };
        writeln!(text, "    - {}{description}", alias.name)?;
    }
    writeln!(text, "Cached: {}", yes_no(image.cached))?;
    writeln!(text, "Auto update: {}", if image.auto_update { "enabled" } else { "disabled" })?;
    if let Some(source) = &image.update_source {
        writeln!(
            text,
            "Source:\n    Server: {}\n    Protocol: {}\n    Alias: {}",
            source.server, source.protocol, source.alias
        )?;
    }
    if image.profiles.is_empty() {
        writeln!(text, "Profiles: []")?;
    } else {
        writeln!(text, "Profiles:")?;
    }
    for profile in &image.profiles {
        writeln!(text, "    - {profile}")?;
    }
    Ok(text)
}

fn or_never(moment: Timestamp) -> String {
    if moment.is_set() { long_date(moment) } else { "never".to_owned() }
}
