//! The websockets of an operation that wait for their client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hull_gateway_contract::Upgrade;
use hull_plugin::OperationId;

use super::lasting;
use super::registry::locked;
use crate::keeper::KeeperClient;

/// Secret → what a connection becomes that brings it, each taken once.
pub(crate) struct Websockets {
    ends: Mutex<HashMap<String, Upgrade>>,
    /// The keeper has copies, for this operation. One that it kept when the client has its own would hide that the client
    /// closes it.
    kept: Option<(KeeperClient, OperationId)>,
}

impl Websockets {
    pub(crate) fn new(ends: impl IntoIterator<Item = (String, Upgrade)>) -> Arc<Self> {
        Arc::new(Self { ends: Mutex::new(ends.into_iter().collect()), kept: None })
    }

    pub(super) fn lasting(ends: Vec<(String, Upgrade)>, keeper: KeeperClient, operation: OperationId) -> Arc<Self> {
        Arc::new(Self { ends: Mutex::new(ends.into_iter().collect()), kept: Some((keeper, operation)) })
    }

    /// The end that belongs to `secret`; only once.
    pub(super) async fn take(&self, secret: &str) -> Option<Upgrade> {
        let end = locked(&self.ends).remove(secret)?;
        if let Some((keeper, operation)) = &self.kept {
            lasting::release(keeper, operation, secret).await;
        }
        Some(end)
    }

    /// Whether somebody may still come. The control of a command is not needed: not every client connects it.
    pub(super) fn are_missing(&self) -> bool {
        let needed = |end: &Upgrade| self.kept.is_none() || !matches!(end, Upgrade::Messages(_));
        locked(&self.ends).values().any(needed)
    }

    /// Nobody will come any more.
    pub(super) async fn release(&self) {
        let left: Vec<String> = locked(&self.ends).drain().map(|(secret, _)| secret).collect();
        if let Some((keeper, operation)) = &self.kept {
            for secret in left {
                lasting::release(keeper, operation, &secret).await;
            }
        }
    }
}
