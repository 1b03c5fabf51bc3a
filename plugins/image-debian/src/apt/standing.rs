//! Whether a source is Debian's archive: third parties name their suites, and even their paths, after Debian's.

use super::mirror::web;
use super::{Key, Source};

/// Newest name first.
pub(crate) const DEBIAN_KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// Folders that public mirrors keep `debian` in.
const SHELVES: [&str; 6] = ["pub", "linux", "archive", "mirror", "mirrors", "ftp"];

/// How likely it is the archive of Debian itself, most likely first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// On a machine of Debian's, or checked with Debian's keys.
    Debian,
    /// No key of its own, and a mirror's path: `/debian`, `/pub/debian-security`, `/archive/debian/20260101T000000Z`.
    Mirror,
    /// No key of its own, and `debian` further down in its path, as proxies and hosters of third parties have it.
    Within,
    /// A mirror's path, and a key of its own: a copy that somebody signs anew, or a third party.
    Signed,
    /// No key of its own: all that its path does not say.
    Unnamed,
    Foreign,
}

impl Standing {
    pub(crate) fn of(source: &Source) -> Self {
        let address = web(source).and_then(|uri| uri.split_once("://")).map_or("", |(_, rest)| rest);
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let host = host.split(':').next().unwrap_or_default();
        let of_debian = host == "debian.org" || host.ends_with(".debian.org");
        let mut parts = path.split('/').skip_while(|part| SHELVES.contains(part));
        let (first, further) = (parts.next().is_some_and(is_named), parts.any(is_named));
        match &source.key {
            Some(key) if is_debians(key) => Self::Debian,
            _ if of_debian => Self::Debian,
            None if first => Self::Mirror,
            None if further => Self::Within,
            None => Self::Unnamed,
            Some(_) if first => Self::Signed,
            Some(_) => Self::Foreign,
        }
    }
}

pub(crate) fn is_debians(key: &Key) -> bool {
    matches!(key, Key::File(path) if DEBIAN_KEYRINGS.iter().any(|one| path.as_os_str() == *one))
}

fn is_named(part: &str) -> bool {
    part == "debian" || part.starts_with("debian-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::one_line::parse;

    fn of(options: &str, uri: &str) -> Standing {
        Standing::of(&parse(&format!("deb {options} {uri} bookworm main\n"))[0])
    }

    #[test]
    fn what_key_host_and_path_say() {
        let (debians, other) =
            ("[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", "[signed-by=/etc/apt/keyrings/x.gpg]");
        assert_eq!(of("", "http://security.debian.org/"), Standing::Debian);
        assert_eq!(of(other, "http://deb.debian.org:80/debian"), Standing::Debian);
        assert_eq!(of(debians, "https://nexus.example/repository/proxy"), Standing::Debian);
        for uri in
            ["http://m.example/debian", "https://m.example/pub/linux/debian/", "http://m.example/debian-security"]
        {
            assert_eq!(of("", uri), Standing::Mirror, "{uri}");
            assert_eq!(of(other, uri), Standing::Signed, "{uri}");
        }
        assert_eq!(of("", "https://packagecloud.io/some/thing/debian"), Standing::Within);
        assert_eq!(of(other, "https://pkgs.tailscale.com/stable/debian"), Standing::Foreign);
        assert_eq!(of(other, "https://apt.releases.hashicorp.com"), Standing::Foreign);
        assert_eq!(of("", "https://apt.releases.hashicorp.com"), Standing::Unnamed);
        assert_eq!(of("", "https://notdebian.org"), Standing::Unnamed);
    }
}
