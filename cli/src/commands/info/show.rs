//! `hull info`: which of the two it is about, and its rest.

use super::{instance, resources};
use crate::client::{Server, empty, url};
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use http::{HeaderMap, Method};
use hull_api::InstanceFull;
use serde_json::Value;

/// Show what is known about an instance or about the server
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[arg(value_name = "[REMOTE:][INSTANCE]")]
    instance: Option<String>,
    /// With the end of the instance's log
    #[arg(long)]
    show_log: bool,
    /// What the server's machine has, instead
    #[arg(long)]
    resources: bool,
}

impl Info {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate_or_default(self.instance.as_deref())?;
        if self.resources {
            cx.printer.text(resources::described(&server.get("/1.0/resources").await?));
            return Ok(());
        }
        if name.is_empty() {
            return show(cx, &in_yaml(&server.get("/1.0").await?)?);
        }
        let instance: InstanceFull = server.get(&(url(&["instances", &name]) + "?recursion=1")).await?;
        cx.printer.text(instance::described(&instance)?);
        if self.show_log {
            cx.printer.text(format!("\nLog:\n\n{}\n", log(&server, &name).await?));
        }
        Ok(())
    }
}

async fn log(server: &Server, name: &str) -> Result<String> {
    let path = url(&["instances", name, "logs", "lxc.log"]);
    let answer = server.exchange(Method::GET, &path, HeaderMap::new(), empty()).await?;
    Ok(String::from_utf8_lossy(&crate::client::accepted(answer).await?).into_owned())
}

/// The server with its storage drivers' keys in small letters, as LXD's client has them in YAML.
fn in_yaml(server: &hull_api::Server) -> Result<Value> {
    let mut value = serde_json::to_value(server)?;
    if let Some(Value::Array(drivers)) = value.pointer_mut("/environment/storage_supported_drivers") {
        for driver in drivers.iter_mut().filter_map(Value::as_object_mut) {
            *driver = std::mem::take(driver).into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
        }
    }
    Ok(value)
}
