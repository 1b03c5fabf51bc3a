//! What a `config` command is about: the server, an instance, or a snapshot.

use crate::client::url;
use crate::commands::keyed::{INSTANCE, Keyed, SERVER, SNAPSHOT};
use crate::context::Context;
use anyhow::Result;

/// Loads what `[REMOTE:][INSTANCE[/SNAPSHOT]]` means.
pub(super) async fn load(cx: &Context, text: Option<&str>) -> Result<Keyed> {
    let (server, name) = cx.locate_or_default(text)?;
    let (path, writable) = place(&name);
    Keyed::load(server, path, writable).await
}

fn place(name: &str) -> (String, &'static [&'static str]) {
    match name.split_once('/') {
        _ if name.is_empty() => ("/1.0".to_owned(), SERVER),
        Some((instance, snapshot)) => (url(&["instances", instance, "snapshots", snapshot]), SNAPSHOT),
        None => (url(&["instances", name]), INSTANCE),
    }
}

/// Splits the words of `get`, `set` and `unset` into an optional instance and the rest.
pub(super) fn split(words: &[String]) -> (Option<&str>, &[String]) {
    match words {
        [first, rest @ ..] if is_target(first, rest) => (Some(first), rest),
        all => (None, all),
    }
}

/// `KEY=VALUE` is none; `NAME KEY=VALUE...` and `NAME KEY VALUE` begin with one; `KEY VALUE` does not.
fn is_target(first: &str, rest: &[String]) -> bool {
    if first.contains('=') {
        return false;
    }
    first.ends_with(':')
        || rest.len() > 1
        || rest.first().is_some_and(|word| word.contains('=') && !first.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Option<String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        split(&words).0.map(str::to_owned)
    }

    #[test]
    fn instances_and_server_keys_are_told_apart() {
        assert_eq!(target("c1 limits.cpu=2"), Some("c1".into()));
        assert_eq!(target("c1 limits.cpu 2"), Some("c1".into()));
        assert_eq!(target("local: core.https_address=:8443"), Some("local:".into()));
        assert_eq!(target("core.https_address 0.0.0.0:8443"), None);
        assert_eq!(target("core.https_address=[::]:8443"), None);
        assert_eq!(target("core.proxy_http http://x/?a=b"), None);
    }
}
