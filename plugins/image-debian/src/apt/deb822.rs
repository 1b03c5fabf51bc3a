//! `*.sources`: paragraphs of `Field: value`, continued by indented lines.

use super::Source;

/// The enabled entries for binary packages.
pub(crate) fn parse(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).filter_map(paragraph).collect()
}

fn paragraph(lines: &[&str]) -> Option<Source> {
    let mut source = Source::default();
    let (mut binary, mut enabled) = (false, true);
    for (name, value) in fields(lines) {
        let words = || value.split_whitespace().map(str::to_owned).collect();
        match name.as_str() {
            "types" => binary = value.split_whitespace().any(|word| word == "deb"),
            "enabled" => enabled = value != "no",
            "uris" => source.uris = words(),
            "suites" => source.suites = words(),
            "components" => source.components = words(),
            "signed-by" => source.set("signed-by", &value),
            "trusted" => source.set("trusted", &value),
            "architectures" => source.set("arch", &value),
            _ => {}
        }
    }
    (binary && enabled && !source.uris.is_empty() && !source.suites.is_empty()).then_some(source)
}

/// Names in lower case, continuation lines joined; a line of a single `.` is an empty one.
fn fields(lines: &[&str]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                let text = line.trim();
                value.push('\n');
                value.push_str(if text == "." { "" } else { text });
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    for (_, value) in &mut fields {
        *value = value.trim_start_matches('\n').to_owned();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    #[test]
    fn what_debian_itself_installs() {
        let sources = parse(
            "Types: deb\n# http://snapshot.debian.org/archive/debian/20250520T000000Z\nURIs: http://deb.debian.org/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
             Types: deb deb-src\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
             Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\n\n\
             Types: deb-src\nURIs: http://src.example\nSuites: bookworm\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(sources[0].key, Some(Key::File("/usr/share/keyrings/debian-archive-keyring.gpg".into())));
        assert_eq!(sources[1].uris, ["http://deb.debian.org/debian-security"]);
    }

    #[test]
    fn a_key_inside_the_entry() {
        let sources = parse(
            "Types: deb\nURIs: https://m.example\nSuites: trixie\nComponents:\n main\n contrib\nSigned-By:\n \
             -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n -----END PGP PUBLIC KEY BLOCK-----\n",
        );
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(sources[0].key, Some(Key::Inline(key.into())));
        assert_eq!(sources[0].components, ["main", "contrib"]);
    }
}
