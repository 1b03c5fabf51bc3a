//! Text for `nft -f`, written from typed parts only.

use std::fmt::{self, Write};

/// Lines of an nft script. A part that could end a string, a line or a statement is a bug upstream: it is replaced by a
/// name that matches nothing, so it can never become a rule of its own.
#[derive(Debug, Default)]
pub(crate) struct Script(String);

/// An interface, chain or table name that has been checked.
pub(crate) struct Name<'a>(pub(crate) &'a str);

/// A name in quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Script {
    pub(crate) fn line(&mut self, parts: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(parts);
        self.0.push('\n');
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if is_plain(self.0) { self.0 } else { "hull-refused" })
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Name(self.0))
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_name_breaks_a_line_or_a_string(name: String) {
            let mut script = Script::default();
            script.line(format_args!("iifname {} chain {}", Quoted(&name), Name(&name)));
            let text = script.text();
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert_eq!(text.matches('"').count(), 2);
            let broken = text.contains([';', '{', '}', '#', '*', '$']);
            prop_assert!(!broken);
        }
    }
}
