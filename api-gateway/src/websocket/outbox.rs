//! Control frames waiting for the one task that writes: frames must not interleave.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;

/// At most one pong and one close: a newer pong replaces an older one, as RFC 6455 5.5.3 allows.
#[derive(Default)]
pub(crate) struct Outbox {
    pong: RefCell<Option<Vec<u8>>>,
    close: Cell<Option<u16>>,
    changed: Notify,
}

/// What to write before anything else.
pub(crate) enum Control {
    Pong(Vec<u8>),
    Close(u16),
}

impl Outbox {
    pub(crate) fn pong(&self, content: Vec<u8>) {
        self.pong.replace(Some(content));
        self.changed.notify_one();
    }

    pub(crate) fn close(&self, code: u16) {
        self.close.set(Some(code));
        self.changed.notify_one();
    }

    pub(crate) fn take(&self) -> Option<Control> {
        let pong = self.pong.take().map(Control::Pong);
        pong.or_else(|| self.close.take().map(Control::Close))
    }

    /// Returns when there may be something to [`take`](Self::take).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
