//! The user's editor on a temporary file.

use anyhow::{Context as _, Result, bail};
use std::io::Write;
use std::process::Command;

/// Opens `text` in `$VISUAL`, `$EDITOR` or `vi` and returns what was saved.
pub(crate) fn edit(text: &str) -> Result<String> {
    let editor =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut file =
        tempfile::Builder::new().prefix("hull_").suffix(".yaml").tempfile().context("cannot make a temporary file")?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).context("cannot write the temporary file")?;
    // `$EDITOR` may carry arguments, so it goes through a shell; the path is a separate word.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "editor"])
        .arg(file.path())
        .status()
        .with_context(|| format!("cannot start the editor `{editor}`"))?;
    if !status.success() {
        bail!("the editor `{editor}` ended with {status}");
    }
    std::fs::read_to_string(file.path()).context("cannot read the edited file")
}
