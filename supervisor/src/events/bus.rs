//! Where events are published.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// This many events wait for a slow listener before it loses the oldest.
const BACKLOG: usize = 1024;

/// An event as it goes over the wire, with its type for filtering.
#[derive(Clone)]
pub(crate) struct Event {
    pub(super) kind: &'static str,
    pub(super) text: Arc<str>,
}

/// Publishes events to all listeners; clones share them.
#[derive(Clone)]
pub(crate) struct Bus(broadcast::Sender<Event>);

impl Bus {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Something happened to an object: `lifecycle("instance-started", "/1.0/instances/c1")`.
    pub(crate) fn lifecycle(&self, action: &str, source: &str) {
        self.lifecycle_with(action, source, Value::Null);
    }

    pub(crate) fn lifecycle_with(&self, action: &str, source: &str, context: Value) {
        let mut metadata = json!({"action": action, "source": source});
        if !context.is_null() {
            metadata["context"] = context;
        }
        self.publish("lifecycle", &metadata);
    }

    pub(crate) fn operation(&self, operation: &hull_api::Operation) {
        self.publish("operation", operation);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    fn publish(&self, kind: &'static str, metadata: &impl Serialize) {
        if self.0.receiver_count() == 0 {
            return; // rendering is the costly part
        }
        let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true);
        let event = json!({
            "type": kind, "timestamp": timestamp, "metadata": metadata, "location": "none", "project": "default",
        });
        // The last listener may have left since: then nobody is told.
        let _ = self.0.send(Event { kind, text: event.to_string().into() });
    }
}
