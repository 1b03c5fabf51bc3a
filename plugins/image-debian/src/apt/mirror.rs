//! Which mirrors serve a release: the machine's own if it has Debian's, else Debian's network.

use super::standing::Standing;
use super::{Key, Source};

const NETWORK: &str = "http://deb.debian.org/debian";
const NETWORK_SECURITY: &str = "http://deb.debian.org/debian-security";

/// Suites of Debian's archive: a mirror that carries one of them carries the others.
const RELEASES: [&str; 6] = ["buster", "bullseye", "bookworm", "trixie", "forky", "sid"];
/// So do third parties name theirs: they say something of Debian's own archive only.
const ROLLING: [&str; 4] = ["oldstable", "stable", "testing", "unstable"];

/// One suite at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) uri: String,
    pub(crate) suite: String,
    pub(crate) components: Vec<String>,
    pub(crate) key: Option<Key>,
    pub(crate) trusted: bool,
}

impl Mirror {
    fn new(source: &Source, uri: &str, suite: String) -> Self {
        let Source { key, trusted, components, .. } = source;
        let main = || vec!["main".to_owned()];
        let components = if components.iter().any(|one| one == "main") { components.clone() } else { main() };
        Self { uri: uri.into(), suite, components, key: key.clone(), trusted: *trusted }
    }

    fn network(uri: &str, suite: String) -> Self {
        Self { uri: uri.into(), suite, components: vec!["main".into()], key: None, trusted: false }
    }
}

/// The mirrors of the release `codename` for `architecture`, the main archive first.
pub(crate) fn mirrors(sources: &[Source], codename: &str, architecture: &str) -> Vec<Mirror> {
    let usable = of_debian(sources, architecture);
    let suites = [codename.to_owned(), format!("{codename}-updates"), format!("{codename}-security")];
    let exact: Vec<Mirror> = suites.iter().filter_map(|suite| serving(&usable, suite)).collect();
    if exact.first().is_some_and(|first| first.suite == codename) {
        return exact;
    }
    let Some(archive) = usable.iter().find(|source| has(source, |suite| suite)) else {
        let [main, updates, security] = suites;
        return vec![
            Mirror::network(NETWORK, main),
            Mirror::network(NETWORK, updates),
            Mirror::network(NETWORK_SECURITY, security),
        ];
    };
    // The machine has another release of Debian: the same mirrors have this one too.
    let [main, updates, security] = suites;
    let uri = |source: &Source| web(source).unwrap_or_default().to_owned();
    let mut result = vec![Mirror::new(archive, &uri(archive), main), Mirror::new(archive, &uri(archive), updates)];
    if let Some(source) =
        usable.iter().find(|source| has(source, |suite| suite.strip_suffix("-security").unwrap_or("")))
    {
        result.push(Mirror::new(source, &uri(source), security));
    }
    result
}

fn serving(sources: &[&Source], suite: &str) -> Option<Mirror> {
    let source = sources.iter().find(|source| source.suites.iter().any(|one| one == suite))?;
    Some(Mirror::new(source, web(source)?, suite.into()))
}

fn is_usable(source: &Source, architecture: &str) -> bool {
    let right = source.architectures.is_empty() || source.architectures.iter().any(|one| one == architecture);
    right && source.components.iter().any(|one| one == "main") && web(source).is_some()
}

/// The sources that may have Debian itself, the likeliest first. Where some surely do, the doubtful ones have nothing to say.
fn of_debian<'a>(sources: &'a [Source], architecture: &str) -> Vec<&'a Source> {
    let usable = sources.iter().filter(|source| is_usable(source, architecture));
    let mut ranked: Vec<_> = usable.map(|source| (Standing::of(source), source)).collect();
    // One for security alone does not speak for the main archive.
    let is_main = |source: &Source| source.suites.iter().any(|suite| is_release(suite));
    let sure = ranked.iter().any(|(standing, source)| *standing <= Standing::Mirror && is_main(source));
    ranked.retain(|(standing, _)| if sure { *standing <= Standing::Mirror } else { *standing != Standing::Foreign });
    ranked.sort_by_key(|(standing, _)| *standing);
    ranked.into_iter().map(|(_, source)| source).collect()
}

fn is_release(suite: &str) -> bool {
    RELEASES.contains(&suite) || ROLLING.contains(&suite)
}

/// Whether it carries a suite of Debian's; `name` is what of its suites' names to look at.
fn has(source: &Source, name: impl Fn(&str) -> &str) -> bool {
    let standing = Standing::of(source);
    source.suites.iter().map(|suite| name(suite)).any(|suite| {
        (RELEASES.contains(&suite) && standing != Standing::Unnamed)
            || (ROLLING.contains(&suite) && standing == Standing::Debian)
    })
}

/// The first address that can be reached from a sandbox: no discs, no local paths.
pub(super) fn web(source: &Source) -> Option<&str> {
    let plain = |uri: &&String| uri.starts_with("http://") || uri.starts_with("https://");
    source.uris.iter().find(plain).map(|uri| uri.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::one_line::parse;

    fn chosen(list: &str, codename: &str) -> Vec<String> {
        let mirrors = mirrors(&parse(list), codename, "amd64");
        mirrors.iter().map(|mirror| format!("{} {}", mirror.uri, mirror.suite)).collect()
    }

    const MACHINE: &str = "deb https://third.example/debian bookworm main2\n\
        deb http://mirror.example/debian/ bookworm main contrib\n\
        deb http://mirror.example/debian/ bookworm-updates main\n\
        deb http://mirror.example/debian/ bookworm-backports main\n\
        deb http://mirror.example/debian-security bookworm-security main\n";

    #[test]
    fn the_machines_own_mirrors_serve_its_own_release() {
        let expected = [
            "http://mirror.example/debian bookworm",
            "http://mirror.example/debian bookworm-updates",
            "http://mirror.example/debian-security bookworm-security",
        ];
        assert_eq!(chosen(MACHINE, "bookworm"), expected);
    }

    #[test]
    fn the_machines_own_mirrors_serve_other_releases() {
        let expected = [
            "http://mirror.example/debian trixie",
            "http://mirror.example/debian trixie-updates",
            "http://mirror.example/debian-security trixie-security",
        ];
        assert_eq!(chosen(MACHINE, "trixie"), expected);
    }

    #[test]
    fn a_mirror_without_security_updates_is_not_given_foreign_ones() {
        let list = "deb [trusted=yes] http://10.0.0.1/debian trixie main\n";
        assert_eq!(chosen(list, "trixie"), ["http://10.0.0.1/debian trixie"]);
    }

    #[test]
    fn third_parties_that_name_their_suites_like_debian_are_not_taken_for_it() {
        let chrome = "deb [arch=amd64] https://dl.google.com/linux/chrome/deb/ stable main\n";
        assert_eq!(chosen(chrome, "bookworm")[0], format!("{NETWORK} bookworm"));
        let first = "deb [arch=amd64] https://packages.example/deb bookworm main\n".to_owned() + MACHINE;
        assert_eq!(chosen(&first, "bookworm")[0], "http://mirror.example/debian bookworm");
        assert_eq!(chosen(&first, "trixie")[0], "http://mirror.example/debian trixie");
        let yarn = "deb https://dl.yarnpkg.com/debian/ stable main\n";
        assert_eq!(chosen(yarn, "bookworm")[0], format!("{NETWORK} bookworm"));
        let cloud = "deb https://packagecloud.io/some/thing/debian/ bookworm main\n".to_owned() + MACHINE;
        assert_eq!(chosen(&cloud, "bookworm")[0], "http://mirror.example/debian bookworm");
    }

    #[test]
    fn what_an_upgrade_has_left_of_third_parties_is_no_mirror_of_the_former_release() {
        let trixie = "deb http://deb.debian.org/debian trixie main\n";
        let left = [
            "deb [signed-by=/k.gpg] https://apt.releases.hashicorp.com bookworm main\n",
            "deb https://pkgs.tailscale.com/stable/debian bookworm main\n",
        ];
        for third in left {
            assert_eq!(chosen(&(third.to_owned() + trixie), "bookworm")[0], "http://deb.debian.org/debian bookworm");
        }
    }

    #[test]
    fn debians_security_archive_does_not_speak_for_the_main_one() {
        let list = "deb http://acng.example:3142/deb.debian.org/debian bookworm main\n\
            deb http://security.debian.org/debian-security bookworm-security main\n";
        let expected = [
            "http://acng.example:3142/deb.debian.org/debian bookworm",
            "http://security.debian.org/debian-security bookworm-security",
        ];
        assert_eq!(chosen(list, "bookworm"), expected);
    }

    #[test]
    fn a_copy_of_ones_own_serves_with_its_own_key_or_at_an_odd_place() {
        let own = "deb [signed-by=/k.gpg] http://m.example/debian bookworm main\n";
        assert_eq!(chosen(own, "bookworm"), ["http://m.example/debian bookworm"]);
        let odd = "deb http://nexus.example/repository/copy bookworm main\n";
        assert_eq!(chosen(odd, "bookworm"), ["http://nexus.example/repository/copy bookworm"]);
        assert_eq!(chosen(odd, "trixie")[0], format!("{NETWORK} trixie"));
    }

    #[test]
    fn other_distributions_discs_and_foreign_processors_lead_to_debians_network() {
        let list = "deb http://archive.ubuntu.com/ubuntu noble main\ndeb cdrom:[Debian]/ bookworm main\n\
            deb [arch=armhf] http://mirror.example/debian bookworm main\n";
        assert_eq!(chosen(list, "bookworm")[0], format!("{NETWORK} bookworm"));
        assert_eq!(chosen(list, "bookworm")[2], format!("{NETWORK_SECURITY} bookworm-security"));
    }
}
