//! `[REMOTE:]INSTANCE/PATH`.

use crate::client::{Server, url};
use crate::context::Context;
use anyhow::{Result, bail};

/// A path inside an instance. Always absolute.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) server: Server,
    pub(super) instance: String,
    pub(super) path: String,
}

impl Place {
    pub(super) fn parse(cx: &Context, text: &str) -> Result<Self> {
        let (server, rest) = cx.locate(text)?;
        let Some((instance, path)) = rest.split_once('/') else { bail!("Invalid target {text}") };
        Ok(Self { server, instance: instance.to_owned(), path: format!("/{path}") })
    }

    /// The place called `name` below this folder.
    pub(super) fn child(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn url(&self) -> String {
        let base = url(&["instances", &self.instance, "files"]);
        // `url` escapes one part; the path is one.
        let escaped = url(&[&self.path]);
        format!("{base}?path={}", escaped.trim_start_matches("/1.0/"))
    }
}
