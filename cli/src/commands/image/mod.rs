//! Images that instances are made from.

mod alias;
mod copy;
mod delete;
mod edit;
mod export;
mod import;
mod info;
mod list;
mod property;
mod refresh;
mod show;
mod verbs;

use crate::client::{ApiError, Server, url};
use anyhow::Result;
use http::Method;
use hull_api::ImageAliasesPost;
pub(crate) use verbs::Image;
use verbs::{load, locate, megabytes};

/// Gives the image the names, also those that another one has.
async fn name_image(server: &Server, names: &[String], fingerprint: &str) -> Result<()> {
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
