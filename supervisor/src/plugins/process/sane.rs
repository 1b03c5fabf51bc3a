//! Answers that are of the method that was asked. tarpc's client panics on any other, and what a plugin says must end no task
//! of hulld's: nothing of ours is touched by that panic.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use hull_plugin::tarpc::ServerError;
use hull_plugin::tarpc::client::RpcError;

/// The answer to a call, or an error instead of the panic.
pub(super) async fn sane<T>(call: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
    let answered = AssertUnwindSafe(call).catch_unwind().await;
    answered.unwrap_or_else(|_panic| {
        let detail = "it answered with the result of another method".to_owned();
        Err(RpcError::Server(ServerError::new(io::ErrorKind::InvalidData, detail)))
    })
}
