//! Removing what was deleted, in the background, one tree at a time.

use std::sync::Arc;

use hull_image_format::Meter;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::pool::Pool;

/// Owns the task that removes. Dropping it stops the removal; the next `open_pool` goes on with it.
pub(crate) struct Reaper {
    wake: mpsc::Sender<Arc<Pool>>,
    meter: Arc<Meter>,
    tasks: TaskTracker,
}

impl Reaper {
    pub(crate) fn start() -> Self {
        let (wake, mut woken) = mpsc::channel::<Arc<Pool>>(1);
        let meter = Arc::new(Meter::default());
        let tasks = TaskTracker::new();
        let cancel = meter.clone();
        tasks.spawn_local(async move {
            while let Some(pool) = woken.recv().await {
                let meter = cancel.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || pool.empty_deleting(&meter)).await {
                    tracing::error!(%error, "removing deleted volumes ended early");
                }
            }
        });
        tasks.close();
        Self { wake, meter, tasks }
    }

    /// There is something in `deleting`. A full queue means that it will be looked at anyway.
    pub(crate) fn wake(&self, pool: &Arc<Pool>) {
        debug_assert!(!self.tasks.is_empty(), "the task ends with this handle");
        if let Err(mpsc::error::TrySendError::Closed(_)) = self.wake.try_send(pool.clone()) {
            tracing::warn!("deleted volumes are removed when the pool is opened again");
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.meter.cancel();
    }
}
