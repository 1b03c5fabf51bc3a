//! What the driver says about itself.

use hull_plugin::{ConfigKey, Description, ValueKind};

pub(crate) fn description() -> Description {
    Description {
        driver: "container".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        capabilities: ["type:container", "exec", "console", "files", "freeze", "mounts", "idmapped_mounts", "recover"]
            .map(Into::into)
            .into(),
