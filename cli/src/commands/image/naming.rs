//! Giving names to an image that was just made.

use crate::client::{ApiError, Server, url};
use anyhow::Result;
use http::Method;
use hull_api::ImageAliasesPost;

/// Gives the image the names, also those that another one has.
pub(super) async fn name_image(server: &Server, names: &[String], fingerprint: &str) -> Result<()> {
    for name in names {
        let alias = ImageAliasesPost { name: name.clone(), target: fingerprint.into(), ..Default::default() };
        match server.change(Method::POST, &url(&["images", "aliases"]), &alias, "").await {
            Err(error) if ApiError::is_conflict(&error) => {
                let target = serde_json::json!({ "target": fingerprint });
                server.change(Method::PATCH, &url(&["images", "aliases", name]), &target, "").await?;
            }
            result => drop(result?),
        }
    }
    Ok(())
}
