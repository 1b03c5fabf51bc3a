//! Another gateway beside the present one, which sees its connections through.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, json};

use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::Handle;
use crate::plugins::chain;

/// # Errors
/// There is no gateway beside this hulld.
pub(super) fn check(executable: &Path) -> Result<(), ApiError> {
    let program = executable.with_file_name("hull-gateway");
    match program.metadata() {
        Ok(status) if status.is_file() => Ok(()),
        Ok(_) => Err(ApiError::bad_request(format!("`{}` is not a file", program.display()))),
        Err(error) => Err(ApiError::bad_request(format!("there is no gateway `{}`: {error}", program.display()))),
    }
}

/// # Errors
/// The new one does not get well: the present one goes on.
pub(super) async fn replace(hull: &Hull, executable: &Path, operation: &Handle) -> Result<(), ApiError> {
    let begun = Instant::now();
    let replaced = hull.upgrade.gateways().await.replace(executable).await;
    replaced.map_err(|error| {
        let why = chain(&error);
        ApiError::internal(format!("the gateway stays as it was, the new one cannot be used: {why}"))
    })?;
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    operation.update(Map::from_iter([("gateway_ms".to_owned(), json!(took))]));
    Ok(())
}
