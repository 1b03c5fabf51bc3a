//! A driver as the rest of hulld sees it: the contract's methods, arguments by reference, one error type.
//!
//! A method waits (bounded) for a plugin that is starting, sends the request with the method's own deadline, and repeats
//! it when the process dies meanwhile: the contract's methods *ensure*, so repeating is safe. What cannot be had comes back
//! as an error that names plugin, method and what happened. Owns the table of deadlines (in [`storage`], [`network`],
//! [`instance`], [`image`]); the ladder itself is in `process/call.rs`.

mod duplicate;
mod image;
mod instance;
mod network;
mod storage;

pub use image::ImageHandle;
pub use instance::InstanceHandle;
pub use network::NetworkHandle;
pub use storage::StorageHandle;

pub(crate) use duplicate::Duplicate;

use crate::plugins::process::Deadline;

/// Questions answered from memory or a cheap system call.
const QUERY: Deadline = Deadline::seconds(5);
/// Changes of a few system calls.
const CHANGE: Deadline = Deadline::seconds(30);
/// Changes that may wait for tools, networks or big trees.
const SLOW: Deadline = Deadline::seconds(120);
/// As long as it shows progress, or at least answers that it is alive.
const BULK: Deadline = Deadline::WhileAlive;

/// Declares a handle: `method(arguments) -> answer, deadline;` for each method of the contract.
macro_rules! driver_handle {
    ($handle:ident, $client:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty, $deadline:expr;)* }) => {
        impl $handle {
            $(
                pub async fn $method(&self, $($argument: $type),*) -> Result<$answer, hull_plugin::DriverError> {
                    let method = $crate::plugins::process::Method { name: stringify!($method), deadline: $deadline };
                    self.process.call(method, |session, context| {
                        $(let $argument = $crate::plugins::handles::Duplicate::duplicate(&$argument)?;)*
                        Ok(async move { session.$client()?.$method(context, $($argument),*).await })
                    }).await
                }
            )*

            /// The plugin's name.
            pub fn plugin(&self) -> &str {
                self.process.plugin()
            }

            /// What the driver is and can do; starts it if need be.
            pub async fn describe(&self) -> Result<std::sync::Arc<hull_plugin::Description>, hull_plugin::DriverError> {
                self.process.describe().await
            }
        }
    };
}
use driver_handle;
