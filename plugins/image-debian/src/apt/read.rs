//! Reading the machine's source lists.

use std::io;
use std::path::Path;

use super::{Source, deb822, one_line};

/// Every source below `directory` (`/etc/apt`), in apt's order. A missing file is none; an unreadable one is skipped
/// with a warning, since other sources may do.
pub(crate) fn read(directory: &Path) -> Vec<Source> {
    let mut sources = one_line::parse(&content(&directory.join("sources.list")));
    let parts = directory.join("sources.list.d");
    let mut names: Vec<_> = match std::fs::read_dir(&parts) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            report(&parts, &error);
            Vec::new()
        }
    };
    names.sort();
    for path in names {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(one_line::parse(&content(&path))),
            Some("sources") => sources.extend(deb822::parse(&content(&path))),
            _ => {}
        }
    }
    sources
}

fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| {
        report(path, &error);
        String::new()
    })
}

fn report(path: &Path, error: &io::Error) {
    if error.kind() != io::ErrorKind::NotFound {
        tracing::warn!(%error, "cannot read `{}`", path.display());
    }
}
