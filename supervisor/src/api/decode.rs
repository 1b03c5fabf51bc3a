//! JSON documents as LXD's clients send them: what Go takes is taken, and what it refuses is refused in its words.
//!
//! Go takes `null` wherever a value may be left out, lets the last of two equal keys win and ignores what follows the document.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::ApiError;

/// Below these fields the keys are the client's own.
const MAPS: [&str; 5] = ["config", "devices", "properties", "environment", "fds"];

/// The first document in `bytes`.
///
/// # Errors
/// No JSON, or not what `T` is made of.
pub(crate) fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let first = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().next();
    let value = first.ok_or_else(|| ApiError::bad_request("EOF"))?.map_err(|error| match error.classify() {
        Category::Eof => ApiError::bad_request("unexpected EOF"),
        _ => ApiError::bad_request(format!("invalid JSON body: {error}")),
    })?;
    typed(value)
}

/// A document that was read already.
///
/// # Errors
/// It is not what `T` is made of.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    if name == "Value" {
        return serde_json::from_value(value).map_err(|error| ApiError::bad_request(error.to_string()));
    }
    let value = match value {
        Value::Null => Value::Object(serde_json::Map::new()),
        Value::Object(_) => without_nulls(value),
        other => return Err(mismatch(go_kind(&other), &format!("value of type api.{name}"))),
    };
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, text) = (error.path().to_string(), error.inner().to_string());
        match wrong_type(&text) {
            Some((found, wanted)) => mismatch(found, &format!("struct field {name}.{} of type {wanted}", field(&path))),
            None => ApiError::bad_request(format!("invalid JSON body: {path}: {text}")),
        }
    })
}

/// The fields of a PATCH.
///
/// # Errors
/// It is no object.
pub(crate) fn object(value: &Value) -> Result<&serde_json::Map<String, Value>, ApiError> {
    value.as_object().ok_or_else(|| mismatch(go_kind(value), "value of type shared.Jmap"))
}

fn mismatch(found: &str, place: &str) -> ApiError {
    ApiError::bad_request(format!("json: cannot unmarshal {found} into Go {place}"))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        other => other,
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `invalid type: integer `5`, expected a string`: what was found and what was wanted, as Go calls them.
fn wrong_type(text: &str) -> Option<(&'static str, &'static str)> {
    let (found, wanted) = text.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let found = match found.split(' ').next()? {
        "boolean" => "bool",
        "integer" | "floating" => "number",
        "string" => "string",
        "sequence" => "array",
        "map" => "object",
        _ => return None,
    };
    let wanted = match wanted {
        "a string" => "string",
        "a boolean" => "bool",
        "a map" => "map[string]string",
        "a sequence" => "[]string",
        "i32" | "i64" | "u32" | "u64" => "int",
        _ => return None,
    };
    Some((found, wanted))
}

/// The struct's fields of a path, without the keys of maps and the places in lists.
fn field(path: &str) -> String {
    let mut fields = Vec::new();
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or_default();
        fields.push(name);
        if MAPS.contains(&name) {
            break;
        }
    }
    fields.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_api::{InstancesPost, ProfilesPost};

    fn refused<T: DeserializeOwned>(text: &str) -> String {
        document::<T>(text.as_bytes()).map(drop).unwrap_err().message
    }

    #[test]
    fn what_go_takes_is_taken() {
        let profile: ProfilesPost =
            document(br#"{"name": "a", "config": null, "name": "b", "devices": {"x": null}} rest"#).unwrap();
        assert_eq!((profile.name.as_str(), profile.config.len(), profile.devices.len()), ("b", 0, 0));
        assert_eq!(document::<ProfilesPost>(b"null").unwrap().name, "");
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        assert_eq!(refused::<ProfilesPost>(""), "EOF");
        assert_eq!(refused::<ProfilesPost>("{"), "unexpected EOF");
        assert_eq!(
            refused::<ProfilesPost>("[]"),
            "json: cannot unmarshal array into Go value of type api.ProfilesPost"
        );
        for (document, words) in [
            (r#"{"name": 5}"#, "number into Go struct field InstancesPost.name of type string"),
            (r#"{"config": {"a": 1}}"#, "number into Go struct field InstancesPost.config of type string"),
            (r#"{"config": "x"}"#, "string into Go struct field InstancesPost.config of type map[string]string"),
            (r#"{"ephemeral": "x"}"#, "string into Go struct field InstancesPost.ephemeral of type bool"),
            (r#"{"profiles": ["a", true]}"#, "bool into Go struct field InstancesPost.profiles of type string"),
        ] {
            assert_eq!(refused::<InstancesPost>(document), format!("json: cannot unmarshal {words}"));
        }
    }
}
