//! How a handle is declared, and how long its methods may take.

use crate::plugins::process::Deadline;

/// Questions answered from memory or a cheap system call.
pub(super) const QUERY: Deadline = Deadline::seconds(5);
/// Changes of a few system calls.
pub(super) const CHANGE: Deadline = Deadline::seconds(30);
/// A pool is opened before the first call to its driver, which waits for it.
pub(crate) const OPENING: Deadline = CHANGE;
/// Changes that may wait for tools, networks or big trees.
pub(super) const SLOW: Deadline = Deadline::seconds(120);
/// As long as it shows progress, or at least answers that it is alive.
pub(super) const BULK: Deadline = Deadline::WhileAlive;

/// The same for what takes a stream: it has been read by whoever failed, and cannot be sent again.
pub(super) const ONCE: Deadline = Deadline::OnceWhileAlive;

/// Declares a handle: `method(arguments) -> answer, deadline;` for each method of the contract.
macro_rules! driver_handle {
    ($handle:ident, $client:ident { $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty, $deadline:expr;)* }) => {
        impl $handle {
            $(
                pub async fn $method(&self, $($argument: $type),*) -> Result<$answer, hull_plugin::DriverError> {
                    let objects: &[Option<String>] = &[$($crate::plugins::handles::Argument::object(&$argument)),*];
                    let object = $crate::plugins::handles::listed(objects);
                    let object = object.as_deref();
                    let method = $crate::plugins::process::Method { name: stringify!($method), deadline: $deadline, object };
                    self.process.call(method, |session, context| {
                        $(let $argument = $crate::plugins::handles::Argument::duplicate(&$argument)?;)*
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
pub(super) use driver_handle;
