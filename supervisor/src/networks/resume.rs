//! After a start of hulld: cut plans are taken up.

use super::create::CreateNetwork;
use super::delete::DeleteNetwork;
use super::rename::RenameNetwork;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans;
use crate::state::Entry;

/// Takes up one of this noun's plans; `false` if it is not one.
pub(crate) async fn resume_plans(entry: &Entry, hull: &Hull) -> Result<bool, ApiError> {
    Ok(plans::resume::<CreateNetwork>(entry, hull).await?
        || plans::resume::<DeleteNetwork>(entry, hull).await?
        || plans::resume::<RenameNetwork>(entry, hull).await?)
}
