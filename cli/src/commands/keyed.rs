//! Anything with a `config` map: instances, profiles, networks, pools, volumes, projects, the server. Read it, change keys, write it.

use crate::client::Server;
use crate::context::Context;
use anyhow::{Result, bail};
use http::Method;
use serde_json::{Map, Value};

pub(crate) struct Keyed {
    server: Server,
    path: String,
    /// The fields that may be written.
    writable: &'static [&'static str],
    value: Map<String, Value>,
    tag: String,
}

pub(crate) const INSTANCE: &[&str] =
    &["architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description"];
pub(crate) const SNAPSHOT: &[&str] = &["expires_at"];
pub(crate) const PROFILE: &[&str] = &["config", "description", "devices"];
pub(crate) const DESCRIBED: &[&str] = &["config", "description"];
pub(crate) const SERVER: &[&str] = &["config"];
pub(crate) const IMAGE: &[&str] = &["auto_update", "properties", "public", "expires_at", "profiles"];

impl Keyed {
    pub(crate) async fn load(server: Server, path: String, writable: &'static [&'static str]) -> Result<Self> {
        let (value, tag) = server.get_tagged(&path).await?;
        Ok(Self { server, path, writable, value, tag })
    }

    /// The value of `key`, empty when it is not set.
    pub(crate) fn get(&self, map: &str, key: &str) -> String {
        match self.value.get(map).and_then(|config| config.get(key)) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    pub(crate) fn set(&mut self, pairs: Vec<(String, String)>) {
        let config = self.map("config");
        for (key, value) in pairs {
            config.insert(key, Value::String(value));
        }
    }

    /// Removes `key`, which must be there.
    pub(crate) fn unset(&mut self, key: &str) -> Result<()> {
        if self.map("config").remove(key).is_none() {
            bail!("Can't unset key '{key}', it's not currently set");
        }
        Ok(())
    }

    /// Removes `key`, set or not; the server refuses one that cannot be.
    pub(crate) fn forget(&mut self, key: &str) {
        self.map("config").insert(key.to_owned(), Value::String(String::new()));
    }

    pub(crate) fn is_server(&self) -> bool {
        self.path == "/1.0"
    }

    /// The map called `name`, made when missing.
    pub(crate) fn map(&mut self, name: &str) -> &mut Map<String, Value> {
        let slot = self.value.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut().expect("the slot was made an object above")
    }

    pub(crate) fn replace(&mut self, field: &str, value: Value) {
        self.value.insert(field.to_owned(), value);
    }

    pub(crate) fn value(&self) -> &Map<String, Value> {
        &self.value
    }

    /// The part that is written, in the order of the server's fields.
    pub(crate) fn written(&self) -> Map<String, Value> {
        let fields = self.value.iter().filter(|(key, _)| self.writable.contains(&key.as_str()));
        fields.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) async fn save(&self, cx: &Context) -> Result<()> {
        let operation = self.server.start(Method::PUT, &self.path, &self.written(), &self.tag).await?;
        cx.wait(&self.server, operation, "").await.map(drop)
    }

    /// Lets the user edit what `shown` has; only writable fields are sent back.
    pub(crate) async fn edit(mut self, cx: &Context, shown: &Map<String, Value>, help: &str) -> Result<()> {
        let help = help.lines().map(|line| format!("### {line}")).collect::<Vec<_>>().join("\n");
        cx.edit(shown, &help, async |changed: Map<String, Value>| {
            self.value = changed;
            self.save(cx).await
        })
        .await
    }

    /// Shows and edits the whole thing.
    pub(crate) async fn edit_all(self, cx: &Context, help: &str) -> Result<()> {
        let shown = self.value.clone();
        self.edit(cx, &shown, help).await
    }
}

/// Prints the value of `key`, if it is set.
pub(crate) fn print_set_key(cx: &Context, keyed: &Keyed, key: &str) {
    let value = keyed.get("config", key);
    if !value.is_empty() {
        cx.printer.line(value);
    }
}

/// Prints the value of `key`.
pub(crate) fn print_key(cx: &Context, keyed: &Keyed, key: &str) {
    cx.printer.line(keyed.get("config", key));
}
