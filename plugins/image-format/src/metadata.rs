//! `metadata.yaml`: what an image says about itself.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Bytes of a `metadata.yaml`.
pub(crate) const LARGEST_METADATA: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    pub architecture: String,
    /// Seconds since the epoch; 0: not said.
    pub creation_date: i64,
    pub expiry_date: i64,
    pub properties: BTreeMap<String, String>,
    /// All of it, `templates` included.
    pub document: Value,
}

impl Metadata {
    /// Reads the text. Its size, depth, number of values and bytes of texts (aliases counted each time) are bounded.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() as u64 > LARGEST_METADATA {
            return Err(Error::corrupt("the image's metadata.yaml is larger than 1 MiB"));
        }
        let left = Left { values: Cell::new(MOST_VALUES), bytes: Cell::new(MOST_BYTES) };
        let seed = Bounded { left: &left, depth: 0 };
        let document = seed.deserialize(serde_norway::Deserializer::from_slice(text));
        let document =
            document.map_err(|error| Error::Corrupt(format!("the image's metadata.yaml cannot be read: {error}")))?;
        let Value::Object(fields) = &document else {
            return Err(Error::corrupt("the image's metadata.yaml cannot be read: it is not a map"));
        };
        let architecture = fields.get("architecture").and_then(Value::as_str).filter(|text| !text.is_empty());
        let architecture =
            architecture.ok_or_else(|| Error::corrupt("the image's metadata.yaml names no architecture"))?;
        Ok(Self {
            architecture: architecture.into(),
            creation_date: date(fields, "creation_date")?,
            expiry_date: date(fields, "expiry_date")?,
            properties: properties(fields.get("properties"))?,
            document,
        })
    }
}

fn date(fields: &Map<String, Value>, key: &str) -> Result<i64> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .or_else(|| value.as_f64().filter(|number| number.abs() < 1e15).map(|number| number as i64))
            .ok_or_else(|| Error::Corrupt(format!("the image's metadata.yaml has a {key} that is no number"))),
    }
}

fn properties(value: Option<&Value>) -> Result<BTreeMap<String, String>> {
    let bad = || Error::corrupt("the image's metadata.yaml has properties that are not a map of texts");
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(fields)) => {
            fields.iter().map(|(key, value)| Ok((key.clone(), scalar(value).ok_or_else(bad)?))).collect()
        }
        Some(_) => Err(bad()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

const MOST_VALUES: u32 = 50_000;
const DEEPEST: u32 = 32;

/// Of texts, aliases counted each time.
const MOST_BYTES: u64 = 4 * LARGEST_METADATA;

/// How much more there may be.
struct Left {
    values: Cell<u32>,
    bytes: Cell<u64>,
}

/// Builds a JSON value and stops at the bounds: a YAML alias may stand for a hundred others.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Left,
    depth: u32,
}

impl Bounded<'_> {
    fn below<E: serde::de::Error>(self) -> std::result::Result<Self, E> {
        if self.depth >= DEEPEST {
            return Err(E::custom(format!("it is nested deeper than {DEEPEST}")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        let left = self.left.values.get().checked_sub(1);
        self.left.values.set(left.ok_or_else(|| E::custom(format!("it has more than {MOST_VALUES} values")))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<Value, E> {
        let left = self.left.bytes.get().checked_sub(value.len() as u64);
        self.left.bytes.set(left.ok_or_else(|| E::custom("its aliases stand for more than 4 MiB"))?);
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(key) = fields.next_key_seed(below)? {
            let key = scalar(&key).ok_or_else(|| A::Error::custom("a key is not a text"))?;
            map.insert(key, fields.next_value_seed(below)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read() {
        let text = "architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  os: Busybox\n  release: 1.35\n  \
                    ok: true\ntemplates:\n  /etc/hostname:\n    when: [create, copy]\n    template: hostname.tpl\n";
        let metadata = Metadata::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (metadata.architecture.as_str(), metadata.creation_date, metadata.expiry_date),
            ("x86_64", 1_700_000_000, 0)
        );
        assert_eq!(metadata.properties["os"], "Busybox");
        assert_eq!(metadata.properties["release"], "1.35");
        assert_eq!(metadata.properties["ok"], "true");
        assert_eq!(metadata.document["templates"]["/etc/hostname"]["when"][1], "copy");
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!("architecture: {}{}", "[".repeat(5000), "]".repeat(5000));
        let mut bomb = String::from("architecture: x86_64\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let item = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{}]\n", item.trim_end_matches(", "));
        }
        let long = format!("architecture: {}", "x".repeat(1 << 20));
        let repeated = format!("architecture: x\na: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(10_000));
        for bad in [
            "",
            "[]",
            "x",
            "architecture: ''",
            "creation_date: 1",
            "architecture: x\nproperties: [1]",
            "a: b: c",
            &deep,
            &bomb,
            &long,
            &repeated,
        ] {
            assert!(matches!(Metadata::parse(bad.as_bytes()), Err(Error::Corrupt(_))), "{}", &bad[..bad.len().min(60)]);
        }
    }
}
