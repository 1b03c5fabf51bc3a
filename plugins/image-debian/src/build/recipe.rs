//! What goes into an image, as files beside the build and arguments for mmdebstrap.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::apt::{DEBIAN_KEYRINGS, Key, Mirror, is_debians};
use crate::release::Edition;

/// Boots systemd, gets an address and a name server, and can be looked into; nothing more. `udev`, because networkd waits
/// for it wherever /sys is writable.
const PACKAGES: [&str; 9] = [
    "systemd",
    "systemd-sysv",
    "systemd-resolved",
    "udev",
    "dbus",
    "iproute2",
    "iputils-ping",
    "netbase",
    "ca-certificates",
];

/// Left out of the image, as containers' users read them elsewhere; packages installed later bring theirs.
const LEFT_OUT: [&str; 5] = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
    "force-unsafe-io",
];

const CUSTOMISE: &str = include_str!("customise.sh");
/// The images' own copy of Debian's keys.
const IMAGE_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Everything a build needs to know.
pub(crate) struct Recipe {
    pub(crate) edition: Edition,
    pub(crate) mirrors: Vec<Mirror>,
    /// `Acquire::…` settings of this machine that builds need too: proxies, mostly.
    pub(crate) apt_options: Vec<(String, String)>,
    /// Whether mounts may be made; without them the chroot has neither /proc nor devices, which still works.
    pub(crate) mounts: bool,
}

impl Recipe {
    /// Writes the files that the customise script copies into `directory`.
    ///
    /// # Errors
    /// The directory cannot be written, or a mirror's keyring not be read.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(directory.join("customise.sh"), CUSTOMISE)?;
        let mut sources = String::new();
        for (index, mirror) in self.mirrors.iter().enumerate() {
            let key = self.install_key(directory, index, mirror)?;
            let Mirror { uri, suite, components, trusted, .. } = mirror;
            let trust = if *trusted { "Trusted: yes\n" } else { "" };
            let components = components.join(" ");
            write!(
                sources,
                "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {components}\nSigned-By: {key}\n{trust}\n"
            )
            .map_err(io::Error::other)?;
        }
        std::fs::write(directory.join("debian.sources"), sources)
    }

    /// Where the image finds the mirror's key; keys that are not Debian's are put beside the build for it.
    fn install_key(&self, directory: &Path, index: usize, mirror: &Mirror) -> io::Result<String> {
        let keyrings = directory.join("keyrings");
        let (name, content) = match &mirror.key {
            None => return Ok(IMAGE_KEYRING.into()),
            Some(key) if is_debians(key) => return Ok(IMAGE_KEYRING.into()),
            Some(Key::File(path)) => {
                let extension = path.extension().and_then(|one| one.to_str()).unwrap_or("gpg");
                let read = std::fs::read(path);
                let content = read.map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot read the keyring `{}`: {error}", path.display()))
                })?;
                (format!("mirror{index}.{extension}"), content)
            }
            Some(Key::Inline(text)) => (format!("mirror{index}.asc"), text.clone().into_bytes()),
        };
        std::fs::create_dir_all(&keyrings)?;
        std::fs::write(keyrings.join(&name), content)?;
        Ok(format!("/etc/apt/keyrings/{name}"))
    }

    /// mmdebstrap's arguments; [`Recipe::write`] came before. The tar stream goes to its standard output.
    pub(crate) fn arguments(&self, directory: &Path) -> Vec<String> {
        let skip =
            if self.mounts { "check/qemu,output/dev" } else { "check/qemu,output/dev,check/canmount,chroot/mount" };
        let mut arguments: Vec<String> =
            ["--verbose", "--mode=root", "--variant=minbase", "--format=tar"].map(str::to_owned).into();
        arguments.push(format!("--skip={skip}"));
        arguments.push(format!("--architectures={}", self.edition.architecture.debian));
        arguments.push(format!("--include={}", PACKAGES.join(",")));
        arguments.push("--aptopt=APT::Sandbox::User \"root\"".into());
        for (name, value) in &self.apt_options {
            arguments.push(format!("--aptopt={name} \"{value}\""));
        }
        arguments.extend(LEFT_OUT.map(|option| format!("--dpkgopt={option}")));
        let script = directory.join("customise.sh");
        arguments.push(format!("--customize-hook=sh '{}' \"$1\"", script.display()));
        arguments.push(self.edition.release.codename.into());
        arguments.push("-".into());
        arguments.extend(self.mirrors.iter().enumerate().map(|(index, mirror)| line(directory, index, mirror)));
        arguments
    }
}

/// The mirror as a line of `sources.list`, with the key as it is on this machine.
fn line(directory: &Path, index: usize, mirror: &Mirror) -> String {
    let key = match &mirror.key {
        Some(Key::File(path)) => Some(path.clone()),
        Some(Key::Inline(_)) => Some(directory.join("keyrings").join(format!("mirror{index}.asc"))),
        None => DEBIAN_KEYRINGS.iter().map(PathBuf::from).find(|path| path.exists()),
    };
    let mut options: Vec<String> = key.iter().map(|path| format!("signed-by={}", path.display())).collect();
    if mirror.trusted {
        options.push("trusted=yes".into());
    }
    let options = if options.is_empty() { String::new() } else { format!("[{}] ", options.join(" ")) };
    format!("deb {options}{} {} {}", mirror.uri, mirror.suite, mirror.components.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(key: Option<Key>) -> Recipe {
        let edition = Edition::find("bookworm", "", "2026-11-22T17:00:00Z".parse().unwrap()).unwrap();
        let mirror = Mirror {
            uri: "http://m.example/debian".into(),
            suite: "bookworm".into(),
            components: vec!["main".into()],
            key,
            trusted: false,
        };
        Recipe { edition, mirrors: vec![mirror], apt_options: Vec::new(), mounts: true }
    }

    #[test]
    fn a_mirrors_own_key_goes_into_the_build_and_into_the_image() {
        let directory = tempfile::tempdir().unwrap();
        let recipe = recipe(Some(Key::Inline("-----BEGIN PGP".into())));
        recipe.write(directory.path()).unwrap();
        let key = directory.path().join("keyrings/mirror0.asc");
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "-----BEGIN PGP");
        let sources = std::fs::read_to_string(directory.path().join("debian.sources")).unwrap();
        assert!(sources.contains("Signed-By: /etc/apt/keyrings/mirror0.asc\n"), "{sources}");
        let arguments = recipe.arguments(directory.path());
        let last = format!("deb [signed-by={}] http://m.example/debian bookworm main", key.display());
        assert_eq!(arguments.last(), Some(&last));
    }

    #[test]
    fn an_unreadable_keyring_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = recipe(Some(Key::File("/nowhere/key.gpg".into()))).write(directory.path()).unwrap_err();
        assert!(error.to_string().contains("`/nowhere/key.gpg`"), "{error}");
    }
}
