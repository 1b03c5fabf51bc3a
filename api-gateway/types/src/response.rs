//! The envelope around every answer: `sync`, `async` or `error`, with all seven fields always present.

use crate::{Operation, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseType {
    #[default]
    Sync,
    Async,
    Error,
}

/// An answer. Clients that know what to expect name the type of the metadata.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Response<Metadata = Value> {
    #[serde(rename = "type")]
    pub kind: ResponseType,
    pub status: String,
    pub status_code: StatusCode,
    /// URL of the operation, of `async` answers only.
    pub operation: String,
    pub error_code: u16,
    pub error: String,
    pub metadata: Metadata,
}

impl<Metadata> Response<Metadata> {
    /// A finished request and its result.
    pub fn sync(metadata: Metadata) -> Self {
        Self {
            kind: ResponseType::Sync,
            status: StatusCode::SUCCESS.name().into(),
            status_code: StatusCode::SUCCESS,
            operation: String::new(),
            error_code: 0,
            error: String::new(),
            metadata,
        }
    }
}

impl Response<Operation> {
    /// A request that goes on as `operation`, found at `url`.
    pub fn asynchronous(url: impl Into<String>, operation: Operation) -> Self {
        Self {
            kind: ResponseType::Async,
            status: StatusCode::OPERATION_CREATED.name().into(),
            status_code: StatusCode::OPERATION_CREATED,
            operation: url.into(),
            error_code: 0,
            error: String::new(),
            metadata: operation,
        }
    }
}

impl Response<Value> {
    /// A refusal, with the HTTP status as its code.
    pub fn failed(code: u16, error: impl Into<String>) -> Self {
        Self { kind: ResponseType::Error, error_code: code, error: error.into(), ..Self::default() }
    }

    /// Success with nothing to tell: `metadata: {}`.
    pub fn done() -> Self {
        Self::sync(Value::Object(serde_json::Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_lxds_to_the_byte() {
        assert_eq!(
            serde_json::to_string(&Response::sync(vec!["a"])).unwrap(),
            r#"{"type":"sync","status":"Success","status_code":200,"operation":"","error_code":0,"error":"","metadata":["a"]}"#
        );
        assert_eq!(
            serde_json::to_string(&Response::failed(404, "not found")).unwrap(),
            r#"{"type":"error","status":"","status_code":0,"operation":"","error_code":404,"error":"not found","metadata":null}"#
        );
    }
}
