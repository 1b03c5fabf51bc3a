//! YAML in the dress of LXD's client: fields in their order, lists not indented, quotes only where a reader would take a string
//! for something else. Reading is lenient: `limits.cpu: 2` is the string `2`.

use anyhow::{Context as _, Result};
use regex::Regex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `value` as a document, with a line feed at its end.
pub(crate) fn to_yaml(value: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(value).context("cannot turn the answer into YAML")?;
    let mut text = String::new();
    match &value {
        Value::Object(map) if !map.is_empty() => push_map(&mut text, map, 0, false),
        Value::Array(list) if !list.is_empty() => push_list(&mut text, list, 0),
        other => text.push_str(&format!("{}\n", flat(other, "", 0))),
    }
    Ok(text)
}

/// Reads what a user wrote. Values in string maps may be written as numbers or booleans.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let value: Value = serde_norway::from_str(text)?;
    // Straight from the text where that is possible: as a number `1.10` would become `1.1`.
    if !has_null(&value)
        && let Ok(read) = serde_norway::from_str(text)
    {
        return Ok(read);
    }
    let mut value = match stringified(value, false) {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        Value::Null => Value::Object(Map::new()),
        other => other,
    };
    if let Ok(texts) = serde_norway::from_str::<Texts>(text) {
        texts.put(&mut value);
    }
    Ok(serde_json::from_value(value)?)
}

/// The scalars of string maps as they are written, where a null keeps the rest from being read straight from the text.
#[derive(Deserialize)]
struct Texts {
    #[serde(default)]
    config: Option<Scalars>,
    #[serde(default)]
    properties: Option<Scalars>,
    #[serde(default)]
    devices: Option<BTreeMap<String, Option<Scalars>>>,
}

type Scalars = BTreeMap<String, Option<String>>;

impl Texts {
    fn put(self, value: &mut Value) {
        let Value::Object(map) = value else { return };
        let devices = self.devices.map(|devices| {
            devices.into_iter().map(|(name, device)| (name, strings(device.unwrap_or_default()))).collect()
        });
        let sections = [
            ("config", self.config.map(strings)),
            ("properties", self.properties.map(strings)),
            ("devices", devices.map(Value::Object)),
        ];
        map.extend(sections.into_iter().filter_map(|(name, section)| Some((name.to_owned(), section?))));
    }
}

fn strings(scalars: Scalars) -> Value {
    scalars.into_iter().map(|(key, text)| (key, Value::String(text.unwrap_or_default()))).collect()
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().any(has_null),
        Value::Array(list) => list.iter().any(has_null),
        _ => false,
    }
}

fn stringified(value: Value, within: bool) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let within = within || STRING_MAPS.contains(&key.as_str());
                    (key, stringified(value, within))
                })
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(|item| stringified(item, within)).collect()),
        Value::Number(number) if within => Value::String(number.to_string()),
        Value::Bool(truth) if within => Value::String(truth.to_string()),
        Value::Null if within => Value::String(String::new()),
        other => other,
    }
}

const STRING_MAPS: [&str; 3] = ["config", "devices", "properties"];

fn push_map(text: &mut String, map: &Map<String, Value>, indent: usize, after_dash: bool) {
    for (index, (key, value)) in map.iter().enumerate() {
        if !(after_dash && index == 0) {
            text.push_str(&" ".repeat(indent));
        }
        let name = string(key, 0);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{name}:\n"));
                push_map(text, inner, indent + 2, false);
            }
            Value::Array(list) if !list.is_empty() => {
                text.push_str(&format!("{name}:\n"));
                push_list(text, list, indent);
            }
            other => text.push_str(&format!("{name}: {}\n", flat(other, key, indent + 2))),
        }
    }
}

fn push_list(text: &mut String, list: &[Value], indent: usize) {
    for item in list {
        text.push_str(&" ".repeat(indent));
        text.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => push_map(text, map, indent + 2, true),
            other => text.push_str(&format!("{}\n", flat(other, "", indent + 2))),
        }
    }
}

/// A value without children, under `key`.
fn flat(value: &Value, key: &str, indent: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if key.ends_with("_at") && looks_like_time(text) => text.clone(),
        Value::String(text) => string(text, indent),
        Value::Array(list) if list.is_empty() => "[]".to_owned(),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        other => other.to_string(), // lists inside lists: flow style is YAML too
    }
}

fn string(text: &str, indent: usize) -> String {
    if is_something_else(text) {
        return double_quoted(text);
    }
    if text.contains('\n') && !has_special(text) && !text.contains(" \n") && indent > 0 {
        return literal(text, indent);
    }
    if text.contains('\n') || has_special(text) {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Whether a YAML 1.1 reader would resolve the bare word to another type.
fn is_something_else(text: &str) -> bool {
    const WORDS: [&str; 36] = [
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO",
        "off", "Off", "OFF", "true", "True", "TRUE", "false", "False", "FALSE", ".nan", ".NaN", ".NAN", ".inf", ".Inf",
        ".INF", "+.inf", "-.inf", "<<",
    ];
    WORDS.contains(&text) || NUMBER.is_match(text) || looks_like_time(text)
}

fn looks_like_time(text: &str) -> bool {
    TIME.is_match(text)
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^([-+]?(0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$",
    )
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\d{4}-\d{1,2}-\d{1,2}([Tt ]\s*\d{1,2}:\d{2}:\d{2}(\.\d+)?\s*(Z|[-+]\d{2}:\d{2})?)?$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant and tested")
}

fn has_special(text: &str) -> bool {
    text.chars().any(|character| character != '\n' && (character.is_control() || character == '\u{feff}'))
}

fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    let second_blank = characters.next().is_none_or(|second| second == ' ');
    let opening = "#,[]{}&*!|>'\"%@`".contains(first) || ("-?:".contains(first) && second_blank);
    let document = text.starts_with("---") || text.starts_with("...");
    let edge = text.starts_with(' ') || text.ends_with(' ');
    !(opening || document || edge || text.contains(": ") || text.ends_with(':') || text.contains(" #"))
}

fn double_quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|character| match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\u{1b}' => "\\e".to_owned(),
            '\0' => "\\0".to_owned(),
            control if control.is_control() => format!("\\x{:02X}", u32::from(control)),
            other => other.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// A block that keeps its line feeds: `|`, with a sign for how it ends.
fn literal(text: &str, indent: usize) -> String {
    let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let chomp = match text {
        text if !text.ends_with('\n') => "-",
        text if text.ends_with("\n\n") || text == "\n" => "+",
        _ => "",
    };
    let body: Vec<String> = text
        .strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .map(|line| if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(indent)) })
        .collect();
    format!("|{hint}{chomp}\n{}", body.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_lists_and_empties_as_lxc_prints_them() {
        let value = json!({"config": {"limits.cpu": "2", "user.a": "x: y"}, "devices": {}, "profiles": ["default"], "number": -1,
            "list": [{"a": 1, "b": {"c": "d"}}], "created_at": "0001-01-01T00:00:00Z", "none": null, "empty": ""});
        assert_eq!(
            to_yaml(&value).unwrap(),
            "\
config:
  limits.cpu: \"2\"
  user.a: 'x: y'
devices: {}
profiles:
- default
number: -1
list:
- a: 1
  b:
    c: d
created_at: 0001-01-01T00:00:00Z
none: null
empty: \"\"
"
        );
    }

    /// Each pair was what lxc 5.0.2 printed for that value.
    #[test]
    fn strings_are_quoted_as_lxc_quotes_them() {
        let cases = [
            ("1", "\"1\""),
            ("true", "\"true\""),
            ("1.5e3", "\"1.5e3\""),
            ("2026-11-22", "\"2026-11-22\""),
            ("00:16:3e:40:11:e7", "00:16:3e:40:11:e7"),
            ("10:20", "\"10:20\""),
            ("0-3,7", "0-3,7"),
            ("[a]", "'[a]'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("a #b", "'a #b'"),
            ("it's", "it's"),
            ("'it's", "'''it''s'"),
            ("50 20 * * *", "50 20 * * *"),
            ("* * * * *", "'* * * * *'"),
            ("@daily", "'@daily'"),
            ("10%", "10%"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
        ];
        for (text, printed) in cases {
            assert_eq!(string(text, 2), printed, "{text}");
        }
    }

    #[test]
    fn several_lines_become_a_block() {
        let value = json!({"config": {"user.x": "a\nb\n", "user.y": "a\n\nb"}});
        assert_eq!(to_yaml(&value).unwrap(), "config:\n  user.x: |\n    a\n    b\n  user.y: |-\n    a\n\n    b\n");
    }

    #[test]
    fn numbers_in_string_maps_are_strings() {
        let read: hull_api::ProfilePut =
            parse("config:\n  limits.cpu: 2\n  a: true\ndescription: x\ndevices: {}\n").unwrap();
        assert_eq!(read.config["limits.cpu"], "2");
        assert_eq!(read.config["a"], "true");
    }

    #[test]
    fn an_empty_value_somewhere_leaves_the_others_as_they_are_written() {
        let text = "config:\n  user.version: 1.10\n  user.x:\n  user.mask: 0x10\ndescription:\n\
            devices:\n  eth0:\n    vlan: 010\n    name:\n  none:\n";
        let read: hull_api::ProfilePut = parse(text).unwrap();
        let config: Vec<_> = ["user.version", "user.x", "user.mask"].map(|key| read.config[key].as_str()).into();
        assert_eq!(config, ["1.10", "", "0x10"]);
        assert_eq!((read.devices["eth0"]["vlan"].as_str(), read.devices["eth0"]["name"].as_str()), ("010", ""));
        assert_eq!(read.description, "");
    }
}
