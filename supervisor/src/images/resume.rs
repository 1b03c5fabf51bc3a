//! After a start of hulld: cut plans are taken up.

use super::delete::DeleteImage;
use super::import::ImportImage;
use super::unpack::UnpackImage;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans;
use crate::state::Entry;

/// Takes up one of this noun's plans; `false` if it is not one.
pub(crate) async fn resume_plans(entry: &Entry, hull: &Hull) -> Result<bool, ApiError> {
    Ok(plans::resume::<ImportImage>(entry, hull).await?
        || plans::resume::<UnpackImage>(entry, hull).await?
        || plans::resume::<DeleteImage>(entry, hull).await?)
}
