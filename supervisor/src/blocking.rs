//! Work that may wait in the kernel (control groups, new processes): the other tasks of its thread go on meanwhile.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` here, after another thread has taken this one's tasks over.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(), // outside of the event loop, or in a test's that has one thread
    }
}
