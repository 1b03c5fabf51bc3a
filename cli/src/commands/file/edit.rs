//! Editing a file in an instance.

use super::place::Place;
use super::transfer::{Owner, fetch, put};
use crate::context::Context;
use anyhow::{Result, bail};

/// Edit a file in an instance, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]INSTANCE/PATH")]
    file: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let place = Place::parse(cx, &self.file)?;
        // The owner and mode of an existing file stay when none are sent.
        if let Some(text) = cx.piped()? {
            return put(&place, "file", Owner::default(), std::io::Cursor::new(text)).await;
        }
        let found = fetch(&place).await?;
        if found.kind != "file" {
            bail!("cannot edit `{}`: it is a {}", self.file, found.kind);
        }
        let text = String::from_utf8(found.answer.bytes().await?.to_vec())?;
        let edited = crate::editor::edit(&text)?;
        put(&place, "file", Owner::default(), std::io::Cursor::new(edited)).await
    }
}
