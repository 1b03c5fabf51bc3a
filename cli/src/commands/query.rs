//! A request as the user writes it.

use crate::client::ApiError;
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, HeaderValue, Method};
use hull_api::{Operation, Response, ResponseType};
use serde_json::Value;

/// Send a request to the server and print the answer
#[derive(Debug, clap::Args)]
pub(crate) struct Query {
    #[arg(value_name = "[REMOTE:]PATH")]
    path: String,
    /// Method of the request
    #[arg(short = 'X', long, default_value = "GET")]
    request: String,
    /// Body of the request, JSON
    #[arg(short, long)]
    data: Option<String>,
    /// Print the envelope too
    #[arg(long)]
    raw: bool,
    /// Wait for the operation and print its last state
    #[arg(long)]
    wait: bool,
}

impl Query {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, path) = if self.path.starts_with('/') {
            (cx.server(&cx.settings.default_remote)?, self.path)
        } else {
            cx.locate(&self.path)?
        };
        if !path.starts_with('/') {
            bail!("Query path must start with /");
        }
        let method: Method =
            self.request.to_uppercase().parse().with_context(|| format!("`{}` is not a method", self.request))?;
        let mut headers = HeaderMap::new();
        let body = match self.data {
            Some(data) => {
                headers.insert("Content-Type", HeaderValue::from_static("application/json"));
                crate::client::body_of(std::io::Cursor::new(data))
            }
            None => crate::client::empty(),
        };
        let bytes = server.exchange(method, &path, headers, body).await?.bytes().await?;
        let Ok(answer) = serde_json::from_slice::<Response>(&bytes) else {
            cx.printer.bytes(&bytes); // a file, or text such as metrics
            return Ok(());
        };
        if self.raw && answer.kind != ResponseType::Error {
            return print(cx, &serde_json::from_slice(&bytes)?);
        }
        match answer.kind {
            ResponseType::Error => Err(ApiError { code: answer.error_code, message: answer.error }.into()),
            ResponseType::Async if self.wait => {
                let operation: Operation = serde_json::from_value(answer.metadata)?;
                let path = crate::client::url(&["operations", &operation.id]) + "/wait";
                print(cx, &sorted(server.get::<Value>(&path).await?))
            }
            ResponseType::Sync | ResponseType::Async => print(cx, &sorted(answer.metadata)),
        }
    }
}

/// JSON with tabs and a blank line after it; nothing for an empty answer.
fn print(cx: &Context, value: &Value) -> Result<()> {
    let empty = match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if empty {
        return Ok(());
    }
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.extend_from_slice(b"\n\n");
    cx.printer.bytes(&text);
    Ok(())
}

/// Keys in alphabetical order, as LXD's client prints parsed answers.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}
