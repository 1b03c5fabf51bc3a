//! Versions of plugins that were installed while Hull ran, on disk.
//!
//! ```text
//! HULL_DIR/plugins-installed/NAME/choice.json     which version is run, and which was before it
//!                                /3/plugin.toml   a version: its manifest, program and companions
//!                                /3/NAME …
//! ```
//! Without a choice the plugin that Hull comes with is run. All belongs to root, and nobody else can write in it. A choice
//! is replaced as a whole; versions that it does not name are removed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hull_plugin::Manifest;
use serde::{Deserialize, Serialize};

use super::discover::{self, ManifestError};
use super::process::Installed;

const FOLDER: &str = "plugins-installed";
const CHOICE: &str = "choice.json";
/// No program is so large.
const LARGEST: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub(super) enum VersionError {
    #[error("the manifest in `{}`", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("cannot read `{}`", path.display())]
    Source { path: PathBuf, source: io::Error },
    #[error("`{}` is not a regular file of at most 1 GiB", path.display())]
    Kind { path: PathBuf },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the manifest cannot be written")]
    Encode(#[from] toml::ser::Error),
}

/// Which version is run. `None`: the one that Hull comes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    pub(super) current: Option<u32>,
    /// What a rollback goes to; `None`: there was no other.
    pub(super) previous: Option<Before>,
}

/// A version that was run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Before {
    BuiltIn,
    Version(u32),
}

/// The versions of all plugins of one HULL_DIR.
#[derive(Clone, Debug)]
pub(super) struct Versions(PathBuf);

impl Versions {
    pub(super) fn new(hull_dir: &Path) -> Self {
        Self(hull_dir.join(FOLDER))
    }

    /// What was chosen; nothing that can be read is nothing chosen, and is logged.
    pub(super) fn choice(&self, plugin: &str) -> Choice {
        let path = self.0.join(plugin).join(CHOICE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(plugin, %error, path = %path.display(), "the choice of a plugin's version cannot be read");
                Choice::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Choice::default(),
            Err(error) => {
                tracing::error!(plugin, %error, path = %path.display(), "the choice of a plugin's version cannot be read");
                Choice::default()
            }
        }
    }

    pub(super) fn load(&self, plugin: &str, number: u32) -> Result<Installed, VersionError> {
        let path = self.folder(plugin, number);
        discover::in_directory(&path, Some(number)).map_err(|source| VersionError::Manifest { path, source })
    }

    /// The plugins of which a version was chosen.
    pub(super) fn plugins(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// A new version, of the plugin's files in the directory `source`. Only what was copied is looked at afterwards.
    pub(super) fn copy_from(&self, plugin: &str, source: &Path) -> Result<Installed, VersionError> {
        let number = self.free(plugin);
        let result = self.copy(plugin, number, source);
        if result.is_err() {
            self.remove(plugin, number);
        }
        result
    }

    fn copy(&self, plugin: &str, number: u32, source: &Path) -> Result<Installed, VersionError> {
        let folder = self.make(plugin, number)?;
        let manifest = |path: &Path| {
            discover::manifest_in(path, plugin)
                .map_err(|error| VersionError::Manifest { path: source.to_owned(), source: error })
        };
        copy(&source.join(plugin), &folder.join(plugin))?;
        // A manifest beside the program wins, as it does everywhere.
        let described = if source.join("plugin.toml").exists() { manifest(source)? } else { manifest(&folder)? };
        for name in &described.companions {
            copy(&source.join(file_name(name)), &folder.join(file_name(name)))?;
        }
        self.describe(&folder, &described)?;
        self.load(plugin, number)
    }

    /// A new version, of files that are no longer where they were found.
    pub(super) fn keep(&self, installed: &Installed) -> Result<Installed, VersionError> {
        let manifest = &installed.manifest;
        let number = self.free(&manifest.name);
        let folder = self.make(&manifest.name, number)?;
        for (name, file) in std::iter::once(&manifest.name).chain(&manifest.companions).zip(&installed.files) {
            let path = folder.join(file_name(name));
            let from = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&**file)));
            let from = from.map_err(|source| VersionError::Source { path: installed.executable.clone(), source })?;
            write(from, &path)?;
        }
        self.describe(&folder, manifest)?;
        self.load(&manifest.name, number)
    }

    /// Makes a version the one that is run, now and after a restart of hulld.
    pub(super) fn choose(&self, plugin: &str, choice: Choice) -> Result<(), VersionError> {
        let folder = self.0.join(plugin);
        let (path, draft) = (folder.join(CHOICE), folder.join("choice.json.new"));
        let failed = |source| VersionError::Write { path: path.clone(), source };
        directory(&self.0).and_then(|()| directory(&folder)).map_err(failed)?;
        let text = serde_json::to_vec(&choice).map_err(|error| failed(error.into()))?;
        let written = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&folder)?.sync_all()
        };
        written().map_err(failed)?;
        self.tidy(plugin, choice);
        Ok(())
    }

    /// A version that was refused.
    pub(super) fn remove(&self, plugin: &str, number: u32) {
        let folder = self.folder(plugin, number);
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %folder.display(), "cannot remove a version of a plugin");
        }
    }

    fn tidy(&self, plugin: &str, choice: Choice) {
        let previous = match choice.previous {
            Some(Before::Version(number)) => Some(number),
            _ => None,
        };
        let kept = [choice.current, previous];
        self.numbers(plugin)
            .filter(|number| !kept.contains(&Some(*number)))
            .for_each(|number| self.remove(plugin, number));
    }

    fn numbers(&self, plugin: &str) -> impl Iterator<Item = u32> {
        let entries = fs::read_dir(self.0.join(plugin)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    fn free(&self, plugin: &str) -> u32 {
        self.numbers(plugin).max().unwrap_or(0) + 1
    }

    fn folder(&self, plugin: &str, number: u32) -> PathBuf {
        self.0.join(plugin).join(number.to_string())
    }

    fn make(&self, plugin: &str, number: u32) -> Result<PathBuf, VersionError> {
        let folder = self.folder(plugin, number);
        let made = directory(&self.0).and_then(|()| directory(&self.0.join(plugin))).and_then(|()| directory(&folder));
        made.map_err(|source| VersionError::Write { path: folder.clone(), source })?;
        Ok(folder)
    }

    fn describe(&self, folder: &Path, manifest: &Manifest) -> Result<(), VersionError> {
        let path = folder.join("plugin.toml");
        let text = toml::to_string(manifest)?;
        write(text.as_bytes(), &path)
    }
}

/// A companion is a name, never a way.
fn file_name(name: &str) -> &Path {
    Path::new(name).file_name().map_or(Path::new("plugin"), Path::new)
}

fn directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), VersionError> {
    // A pipe or a device must not be waited for.
    let opened = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(from);
    let file = opened.map_err(|source| VersionError::Source { path: from.to_owned(), source })?;
    let fits = file.metadata().is_ok_and(|status| status.is_file() && status.len() <= LARGEST);
    if !fits {
        return Err(VersionError::Kind { path: from.to_owned() });
    }
    write(file, to)
}

fn write(from: impl Read, to: &Path) -> Result<(), VersionError> {
    let failed = |source| VersionError::Write { path: to.to_owned(), source };
    let mut file = File::options().write(true).create_new(true).mode(0o755).open(to).map_err(failed)?;
    io::copy(&mut from.take(LARGEST), &mut file).map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "name = \"image-test\"\nkind = \"image\"\ndescription = \"A test.\"\nversion = \"1\"\n\
                            contract = { oldest = 1, newest = 1 }\ncompanions = [\"helper\"]\n";

    fn source(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let manifest = MANIFEST.replace("version = \"1\"", &format!("version = \"{version}\""));
        for (name, text) in [("plugin.toml", manifest.as_str()), ("image-test", version), ("helper", version)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn versions_are_copied_chosen_and_only_the_last_two_kept() {
        let hull_dir = tempfile::tempdir().unwrap();
        let versions = Versions::new(hull_dir.path());
        assert_eq!(versions.choice("image-test"), Choice::default());
        let mut choice = Choice::default();
        for version in ["2", "3", "4"] {
            let installed = versions.copy_from("image-test", source(version).path()).unwrap();
            assert_eq!(installed.manifest.version, version);
            assert_eq!(fs::read_to_string(&installed.executable).unwrap(), version);
            let previous = Some(choice.current.map_or(Before::BuiltIn, Before::Version));
            choice = Choice { current: installed.number, previous };
            versions.choose("image-test", choice).unwrap();
        }
        assert_eq!(versions.choice("image-test"), choice);
        let mut numbers: Vec<u32> = versions.numbers("image-test").collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);
        let mode = fs::metadata(hull_dir.path().join("plugins-installed/image-test/3/helper")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
    }

    #[test]
    fn what_was_replaced_on_disk_can_still_be_kept() {
        let (hull_dir, place) = (tempfile::tempdir().unwrap(), source("1"));
        let installed = discover::in_directory(place.path(), None).unwrap();
        fs::remove_file(place.path().join("image-test")).unwrap();
        fs::write(place.path().join("image-test"), "other").unwrap();
        let kept = Versions::new(hull_dir.path()).keep(&installed).unwrap();
        assert_eq!(fs::read_to_string(kept.executable).unwrap(), "1");
    }

    #[test]
    fn what_is_no_file_is_refused_and_leaves_nothing() {
        let (hull_dir, place) = (tempfile::tempdir().unwrap(), source("2"));
        fs::remove_file(place.path().join("helper")).unwrap();
        nix::unistd::mkfifo(&place.path().join("helper"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let versions = Versions::new(hull_dir.path());
        assert!(matches!(versions.copy_from("image-test", place.path()), Err(VersionError::Kind { .. })));
        assert_eq!(versions.numbers("image-test").count(), 0);
    }
}
