//! After a start of hulld: cut plans are taken up.

use super::create::CreatePool;
use super::custom::{CreateVolume, DeleteVolume, RenameVolume};
use super::delete::DeletePool;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans;
use crate::state::Entry;

/// Takes up one of this noun's plans; `false` if it is not one.
pub(crate) async fn resume_plans(entry: &Entry, hull: &Hull) -> Result<bool, ApiError> {
    Ok(plans::resume::<CreatePool>(entry, hull).await?
        || plans::resume::<DeletePool>(entry, hull).await?
        || plans::resume::<CreateVolume>(entry, hull).await?
        || plans::resume::<DeleteVolume>(entry, hull).await?
        || plans::resume::<RenameVolume>(entry, hull).await?)
}
