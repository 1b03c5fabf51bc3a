//! Comparing all that is known with what a driver has, in as many calls as frames need.

/// Names in one call: they must fit a frame of 64 KiB.
pub(super) const BATCH: usize = 128;

/// Gives a handle whose contract has `reconcile` the whole of it.
macro_rules! reconcile_all {
    ($handle:ident, $name:ty) => {
        impl $handle {
            /// A process that ended between two batches has heard only some of what is known: what it says then counts for
            /// nothing.
            pub(crate) async fn reconcile_all(
                &self,
                known: &[$name],
            ) -> Result<hull_plugin::storage::Reconciled, hull_plugin::DriverError> {
                let before = self.process.ready().await?.generation;
                let mut rest = known;
                while rest.len() > $crate::plugins::handles::reconcile::BATCH {
                    let (batch, others) = rest.split_at($crate::plugins::handles::reconcile::BATCH);
                    self.reconcile(batch, false).await?;
                    rest = others;
                }
                let found = self.reconcile(rest, true).await?;
                if self.process.ready().await?.generation != before {
                    let message = "the driver's process was replaced meanwhile";
                    return Err(hull_plugin::DriverError::new(hull_plugin::Code::Crashed, message));
                }
                Ok(found)
            }
        }
    };
}
pub(super) use reconcile_all;
