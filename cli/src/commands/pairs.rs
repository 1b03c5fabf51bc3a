//! `KEY=VALUE` words, and the older `KEY VALUE` form.

use anyhow::{Context as _, Result, bail};
use std::io::Read;

/// The pairs of `words`: all `KEY=VALUE`, or exactly one `KEY VALUE`. A value of `-` is read from stdin.
pub(crate) fn pairs(words: &[String]) -> Result<Vec<(String, String)>> {
    if let [key, value] = words
        && !key.contains('=')
    {
        return Ok(vec![(key.clone(), from_stdin(value)?)]);
    }
    words.iter().map(|word| pair(word)).collect()
}

/// Only `KEY=VALUE`.
pub(crate) fn strict_pairs(words: &[String]) -> Result<Vec<(String, String)>> {
    words.iter().map(|word| pair(word)).collect()
}

fn pair(word: &str) -> Result<(String, String)> {
    let Some((key, value)) = word.split_once('=') else { bail!("Invalid key=value configuration: {word}") };
    Ok((key.to_owned(), from_stdin(value)?))
}

fn from_stdin(value: &str) -> Result<String> {
    if value != "-" {
        return Ok(value.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the value from stdin")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_forms() {
        let expected = vec![("limits.cpu".to_owned(), "2".to_owned())];
        assert_eq!(pairs(&words("limits.cpu 2")).unwrap(), expected);
        assert_eq!(pairs(&words("limits.cpu=2")).unwrap(), expected);
        assert_eq!(pairs(&words("a=b=c d=")).unwrap(), [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert_eq!(pairs(&words("a")).unwrap_err().to_string(), "Invalid key=value configuration: a");
    }
}
