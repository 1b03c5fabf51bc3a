//! The releases on offer, and the names users give them.

use chrono::{DateTime, NaiveTime, Utc};
use hull_plugin::image::SourceImage;
use hull_plugin::{ConfigMap, DriverError};

/// A release of Debian that boots with what [`crate::build`] puts into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) codename: &'static str,
    /// `12`
    pub(crate) number: &'static str,
}

/// Newest last.
pub(crate) const RELEASES: [Release; 2] =
    [Release { codename: "bookworm", number: "12" }, Release { codename: "trixie", number: "13" }];

/// A processor, in the kernel's word and in Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Architecture {
    pub(crate) kernel: &'static str,
    pub(crate) debian: &'static str,
}

const ARCHITECTURES: [Architecture; 6] = [
    Architecture { kernel: "x86_64", debian: "amd64" },
    Architecture { kernel: "aarch64", debian: "arm64" },
    Architecture { kernel: "armv7l", debian: "armhf" },
    Architecture { kernel: "ppc64le", debian: "ppc64el" },
    Architecture { kernel: "riscv64", debian: "riscv64" },
    Architecture { kernel: "s390x", debian: "s390x" },
];

impl Architecture {
    /// The one this program was built for: packages' scripts have to run during the build.
    pub(crate) fn native() -> Option<Self> {
        let kernel = match std::env::consts::ARCH {
            "arm" => "armv7l",
            "powerpc64" => "ppc64le",
            other => other,
        };
        ARCHITECTURES.into_iter().find(|one| one.kernel == kernel)
    }

    fn is_called(self, word: &str) -> bool {
        word == self.kernel || word == self.debian
    }
}

/// One image that can be built: a release, for a processor, as of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    pub(crate) release: Release,
    pub(crate) architecture: Architecture,
    /// Midnight, UTC.
    pub(crate) day: DateTime<Utc>,
}

impl Edition {
    /// What `alias` (`bookworm`, `12`, `bookworm/amd64`) means on `now`'s day.
    ///
    /// # Errors
    /// `NotFound`: no such release, or not for this machine's processor.
    pub(crate) fn find(alias: &str, wanted: &str, now: DateTime<Utc>) -> Result<Self, DriverError> {
        let native = native()?;
        let mut words = alias.split('/');
        let name = words.next().unwrap_or_default();
        let release = RELEASES.into_iter().find(|one| one.codename == name || one.number == name);
        let release = release.ok_or_else(|| unknown(alias))?;
        for word in words {
            match word {
                "default" => {}
                word if native.is_called(word) => {}
                word if ARCHITECTURES.iter().any(|one| one.is_called(word)) => {
                    return Err(foreign(alias, word, native));
                }
                _ => return Err(unknown(alias)),
            }
        }
        if !wanted.is_empty() && !native.is_called(wanted) {
            return Err(foreign(alias, wanted, native));
        }
        Ok(Self { release, architecture: native, day: now.date_naive().and_time(NaiveTime::MIN).and_utc() })
    }

    /// All of them, as of `now`'s day.
    ///
    /// # Errors
    /// As [`Edition::find`].
    pub(crate) fn all(now: DateTime<Utc>) -> Result<Vec<Self>, DriverError> {
        RELEASES.into_iter().map(|release| Self::find(release.codename, "", now)).collect()
    }

    /// `20261122`
    pub(crate) fn serial(&self) -> String {
        self.day.format("%Y%m%d").to_string()
    }

    /// What `hull image list` shows; the same words are in the image's metadata.
    pub(crate) fn properties(&self) -> ConfigMap {
        let Self { release, architecture, .. } = self;
        let text = format!("Debian {} {} ({})", release.codename, architecture.debian, self.serial());
        [
            ("architecture", architecture.debian),
            ("description", text.as_str()),
            ("name", &format!("debian-{}-{}-default-{}", release.codename, architecture.debian, self.serial())),
            ("os", "Debian"),
            ("release", release.codename),
            ("serial", &self.serial()),
            ("variant", "default"),
            ("version", release.number),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
    }

    /// This edition as the contract describes images.
    pub(crate) fn image(&self) -> SourceImage {
        let Self { release, architecture, .. } = self;
        let names = [release.codename, release.number];
        let mut aliases: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        aliases.extend(names.iter().map(|name| format!("{name}/{}", architecture.debian)));
        SourceImage {
            id: format!("debian/{}/{}/{}", release.codename, architecture.debian, self.serial()),
            aliases,
            architecture: architecture.kernel.into(),
            instance_type: "container".into(),
            properties: self.properties(),
            fingerprint: None,
            size: None,
        }
    }
}

fn native() -> Result<Architecture, DriverError> {
    Architecture::native().ok_or_else(|| {
        DriverError::not_found(format!("Debian is not built for `{}` by this driver", std::env::consts::ARCH))
    })
}

fn unknown(alias: &str) -> DriverError {
    let known: Vec<&str> = RELEASES.iter().map(|release| release.codename).collect();
    DriverError::not_found(format!("no Debian release is called `{alias}`"))
        .hint(format!("releases on offer: {}", known.join(", ")))
}

fn foreign(alias: &str, word: &str, native: Architecture) -> DriverError {
    DriverError::not_found(format!("no image `{alias}` for `{word}`"))
        .because(format!("images are built on this machine, for its own processor (`{}`)", native.debian))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_plugin::Code;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_published_alias_leads_back_to_its_image() {
        let now = at("2026-11-22T17:00:00Z");
        for edition in Edition::all(now).unwrap() {
            for alias in edition.image().aliases {
                assert_eq!(Edition::find(&alias, "", now).unwrap(), edition, "{alias}");
            }
        }
    }

    #[test]
    fn an_image_is_the_same_all_day_and_another_the_next() {
        let id = |now: &str| Edition::find("bookworm", "", at(now)).unwrap().image().id;
        assert_eq!(id("2026-11-22T00:00:00Z"), id("2026-11-22T23:59:59Z"));
        assert_ne!(id("2026-11-22T23:59:59Z"), id("2026-11-23T00:00:00Z"));
    }

    #[test]
    fn what_cannot_be_built_is_not_found() {
        let now = at("2026-11-22T17:00:00Z");
        let other = if Architecture::native().unwrap().debian == "amd64" { "arm64" } else { "amd64" };
        for (alias, wanted) in
            [("woody", ""), ("", ""), ("bookworm/cloud", ""), (&format!("bookworm/{other}"), ""), ("bookworm", other)]
        {
            assert_eq!(Edition::find(alias, wanted, now).unwrap_err().code, Code::NotFound, "{alias} {wanted}");
        }
    }
}
