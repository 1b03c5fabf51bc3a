//! The `--format` of lists: one listing, five dresses.

use super::{Printer, table, to_yaml};
use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::value::RawValue;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Yaml,
    Compact,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "compact" => Ok(Self::Compact),
            other => Err(format!("Invalid format \"{other}\"")),
        }
    }
}

/// Rows for people and the values behind them for programs.
pub(crate) struct Listing<'a, T> {
    pub(crate) header: &'a [String],
    pub(crate) rows: &'a [Vec<String>],
    pub(crate) values: &'a [T],
}

impl<T: Serialize> Listing<'_, T> {
    pub(crate) fn print(&self, printer: &Printer, format: Format) -> Result<()> {
        match format {
            Format::Table => printer.text(table(self.header, self.rows, true)),
            Format::Compact => printer.text(table(self.header, self.rows, false)),
            Format::Csv => printer.text(csv(self.rows)),
            Format::Json => printer.line(go_json(&serde_json::to_string(self.values).context("cannot write JSON")?)),
            Format::Yaml => printer.text(to_yaml(&self.values)?),
        }
        Ok(())
    }
}

impl Listing<'_, Box<RawValue>> {
    /// JSON as the server sent it, field by field.
    pub(crate) fn raw_json(values: &[Box<RawValue>]) -> String {
        let items: Vec<&str> = values.iter().map(|value| value.get()).collect();
        format!("[{}]", items.join(","))
    }
}

/// Go writes these three as escapes inside strings; outside of strings they do not occur.
pub(crate) fn go_json(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn csv(rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| row.iter().map(|field| csv_field(field)).collect::<Vec<_>>().join(",") + "\n";
    rows.iter().map(line).collect()
}

fn csv_field(field: &str) -> String {
    let quoted = field == "\\." || field.starts_with(char::is_whitespace) || field.contains([',', '"', '\n', '\r']);
    if quoted { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_only_what_needs_it() {
        let rows = [vec!["bb".to_owned(), String::new(), "Nov 22, 2026".to_owned(), "a \"b\"".to_owned()]];
        assert_eq!(csv(&rows), "bb,,\"Nov 22, 2026\",\"a \"\"b\"\"\"\n");
    }

    #[test]
    fn unknown_formats_are_refused_in_lxcs_words() {
        assert_eq!("foo".parse::<Format>().unwrap_err(), "Invalid format \"foo\"");
    }
}
