//! `sources.list`: `deb [ option=value … ] URI SUITE COMPONENT…`, one entry a line.

use super::Source;

/// The entries for binary packages; what does not parse is left out, as a newer apt may know more than this.
pub(crate) fn parse(text: &str) -> Vec<Source> {
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let mut source = Source { uris: vec![words.next()?], suites: vec![words.next()?], ..Source::default() };
    source.components = words.collect();
    for option in options.split_whitespace() {
        if let Some((name, value)) = option.split_once('=') {
            source.set(name, value);
        }
    }
    Some(source)
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    #[test]
    fn lines_with_and_without_options() {
        let sources = parse(
            "# comment\n\
             deb http://deb.debian.org/debian bookworm main contrib # mine\n\
             deb-src http://deb.debian.org/debian bookworm main\n\
             deb [arch=amd64,arm64 signed-by=/etc/apt/keyrings/m.gpg trusted=yes] https://m.example/debian trixie main\n\
             deb http://nowhere\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[0].key, None);
        assert_eq!(sources[1].key, Some(Key::File("/etc/apt/keyrings/m.gpg".into())));
        assert_eq!(sources[1].architectures, ["amd64", "arm64"]);
        assert!(sources[1].trusted);
    }
}
