//! Which plugins are installed: beside hulld, in its library directory, and in HULL_DIR. Nothing is run to find out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hull_plugin::{CONTRACT, Manifest};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, ReadCache};

use super::process::Installed;

/// The ELF section that holds a manifest.
const SECTION: &str = ".hull.plugin";

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    #[error("is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    #[error("is not a manifest")]
    Toml(#[from] toml::de::Error),
    #[error("has the name `{0}`, which is not KIND-WORD")]
    Name(String),
    #[error("speaks contract versions {oldest} to {newest}, hulld {} to {}", CONTRACT.oldest, CONTRACT.newest)]
    Contract { oldest: u32, newest: u32 },
    #[error("has no program `{}`", .0.display())]
    Executable(PathBuf),
    #[error("is missing: there is no `plugin.toml`, and the program holds none")]
    Missing,
}

/// All of them by name. Earlier places win: what comes with hulld cannot be replaced from HULL_DIR.
pub(super) fn found(executable: &Path, hull_dir: &Path) -> BTreeMap<String, Arc<Installed>> {
    let mut found = BTreeMap::new();
    let beside = executable.parent().unwrap_or(Path::new("/"));
    for path in entries(beside).into_iter().filter(|path| path.is_file() && path != executable) {
        match embedded(&path) {
            Ok(Some(manifest)) => match installed(manifest, path.clone(), None) {
                Ok(installed) => add(&mut found, installed),
                Err(error) => skip(&path, &error),
            },
            Ok(None) => {}
            Err(error) => skip(&path, &error),
        }
    }
    for folder in [beside.join("../lib/hull/plugins"), hull_dir.join("plugins")] {
        for path in entries(&folder).into_iter().filter(|path| path.join("plugin.toml").is_file()) {
            match in_directory(&path, None) {
                Ok(installed) => add(&mut found, installed),
                Err(error) => skip(&path, &error),
            }
        }
    }
    found
}

fn add(found: &mut BTreeMap<String, Arc<Installed>>, installed: Installed) {
    let name = installed.manifest.name.clone();
    found.entry(name).or_insert_with(|| Arc::new(installed));
}

fn skip(path: &Path, error: &ManifestError) {
    tracing::warn!(plugin = %path.display(), error = super::chain(error), "this plugin is left out: its manifest");
}

/// The manifest inside an executable; `None` if it is no plugin.
fn embedded(path: &Path) -> Result<Option<Manifest>, ManifestError> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(file) = fs::File::open(path) else { return Ok(None) };
    if file.metadata().is_ok_and(|status| status.permissions().mode() & 0o111 == 0) {
        return Ok(None);
    }
    let cache = ReadCache::new(file);
    // Only headers are read: the symbols of an unstripped program are megabytes.
    let Ok(header) = FileHeader64::<Endianness>::parse(&cache) else { return Ok(None) };
    let section = header.endian().and_then(|endian| {
        let sections = header.sections(endian, &cache)?;
        let found = sections.section_by_name(endian, SECTION.as_bytes());
        found.map(|(_, section)| section.data(endian, &cache)).transpose()
    });
    match section.map_err(std::io::Error::other)? {
        Some(data) => parse(std::str::from_utf8(data)?).map(Some),
        None => Ok(None),
    }
}

/// `NAME/plugin.toml` beside `NAME/NAME`.
pub(super) fn in_directory(path: &Path, number: Option<u32>) -> Result<Installed, ManifestError> {
    let manifest = parse(&fs::read_to_string(path.join("plugin.toml"))?)?;
    let executable = path.join(&manifest.name);
    installed(manifest, executable, number)
}

/// What a manifest names must be there: it is held open, so that it can be had even when something else lies there.
fn installed(manifest: Manifest, executable: PathBuf, number: Option<u32>) -> Result<Installed, ManifestError> {
    let beside = manifest.companions.iter().map(|name| executable.with_file_name(name));
    let paths = std::iter::once(executable.clone()).chain(beside);
    let open = |path: PathBuf| match fs::File::open(&path) {
        Ok(file) if file.metadata().is_ok_and(|status| status.is_file()) => Ok(Arc::new(file)),
        _ => Err(ManifestError::Executable(path)),
    };
    let files = paths.map(open).collect::<Result<_, _>>()?;
    Ok(Installed { manifest, executable, number, files, fallback: None })
}

/// The manifest of the plugin `name` in a directory that somebody names: `plugin.toml`, or the one inside the executable.
pub(super) fn manifest_in(path: &Path, name: &str) -> Result<Manifest, ManifestError> {
    match fs::read_to_string(path.join("plugin.toml")) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            embedded(&path.join(name))?.ok_or(ManifestError::Missing)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn parse(text: &str) -> Result<Manifest, ManifestError> {
    let manifest: Manifest = toml::from_str(text)?;
    let word = manifest.name.strip_prefix(&super::plugin_name(manifest.kind, "")).unwrap_or("");
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if word.is_empty() || !word.bytes().all(valid) {
        return Err(ManifestError::Name(manifest.name));
    }
    if CONTRACT.settle(manifest.contract).is_none() {
        let (oldest, newest) = (manifest.contract.oldest, manifest.contract.newest);
        return Err(ManifestError::Contract { oldest, newest });
    }
    Ok(manifest)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"storage-test\"\nkind = \"storage\"\ndescription = \"A test.\"\nversion = \"1\"\n\
                        contract = { oldest = 1, newest = 1 }\n";

    #[test]
    fn a_manifest_must_be_of_its_kind_and_its_contract() {
        assert_eq!(parse(GOOD).unwrap().name, "storage-test");
        assert!(parse(&GOOD.replace("storage-test", "network-test")).is_err());
        assert!(parse(&GOOD.replace("storage-test", "storage-../x")).is_err());
        assert!(parse(&GOOD.replace("oldest = 1, newest = 1", "oldest = 90, newest = 99")).is_err());
        assert!(parse(&format!("{GOOD}surprise = true\n")).is_err());
    }

    #[test]
    fn directories_are_found_and_broken_ones_left_out() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("storage-test", GOOD), ("storage-bad", "nonsense")] {
            let folder = place.path().join("plugins").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("plugin.toml"), text).unwrap();
            fs::write(folder.join(name), "").unwrap();
        }
        let found = found(Path::new("/nonexistent/hulld"), place.path());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["storage-test"]);
    }
}
