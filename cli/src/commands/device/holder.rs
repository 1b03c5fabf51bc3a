//! Who holds the devices.

use crate::client::url;
use crate::commands::keyed::{INSTANCE, Keyed, PROFILE};
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug)]
pub(super) enum Holder {
    Instance,
    Profile,
}

impl Holder {
    /// The holder that `[REMOTE:]NAME` means, and its name.
    pub(super) async fn load(self, cx: &Context, text: &str) -> Result<(Keyed, String)> {
        let (server, name) = cx.locate(text)?;
        let keyed = match self {
            Self::Instance => Keyed::load(server, url(&["instances", &name]), INSTANCE).await?,
            Self::Profile => Keyed::load(server, url(&["profiles", &name]), PROFILE).await?,
        };
        Ok((keyed, name))
    }

    /// What to say when `device` is not among the holder's own.
    pub(super) fn missing(self, keyed: &Keyed, device: &str, verb: &str) -> anyhow::Error {
        let inherited = keyed.value().get("expanded_devices").is_some_and(|devices| devices.get(device).is_some());
        match self {
            Self::Instance if inherited => {
                anyhow::anyhow!(
                    "Device from profile(s) cannot be {verb} individual instance. Override device or modify profile instead"
                )
            }
            Self::Instance | Self::Profile => anyhow::anyhow!("Device doesn't exist"),
        }
    }
}

/// The device called `name`.
pub(super) fn device<'a>(holder: Holder, keyed: &'a mut Keyed, name: &str) -> Result<&'a mut Map<String, Value>> {
    if !keyed.map("devices").contains_key(name) {
        bail!(holder.missing(keyed, name, "modified for"));
    }
    match keyed.map("devices").get_mut(name) {
        Some(Value::Object(device)) => Ok(device),
        _ => bail!("the server described device `{name}` as something that is not a map"),
    }
}
