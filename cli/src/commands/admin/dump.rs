//! The daemon as a preseed.

use super::preseed::{Preseed, PreseedNetwork};
use crate::client::{Server, url};
use anyhow::Result;
use hull_api::{Network, Profile, ProfilesPost, Project, ProjectsPost, StoragePool, StoragePoolsPost};

pub(super) async fn dump(server: &Server) -> Result<Preseed> {
    let all = |noun: &str| url(&[noun]) + "?recursion=1";
    let settings: hull_api::Server = server.get("/1.0").await?;
    let networks: Vec<Network> = server.get(&all("networks")).await?;
    let pools: Vec<StoragePool> = server.get(&all("storage-pools")).await?;
    let profiles: Vec<Profile> = server.get(&all("profiles")).await?;
    let projects: Vec<Project> = server.get(&all("projects")).await?;
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(Preseed {
        config: settings.config.into_iter().map(|(key, value)| (key, text(value))).collect(),
        networks: networks.into_iter().filter(|network| network.managed).map(network_of).collect(),
        storage_pools: pools
            .into_iter()
            .map(|pool| StoragePoolsPost {
                config: pool.config,
                description: pool.description,
                name: pool.name,
                driver: pool.driver,
            })
            .collect(),
        profiles: profiles
            .into_iter()
            .map(|profile| ProfilesPost {
                config: profile.config,
                description: profile.description,
                devices: profile.devices,
                name: profile.name,
            })
            .collect(),
        projects: projects
            .into_iter()
            .map(|project| ProjectsPost {
                config: project.config,
                description: project.description,
                name: project.name,
            })
            .collect(),
        cluster: None,
    })
}

fn network_of(network: Network) -> PreseedNetwork {
    PreseedNetwork {
        config: network.config,
        description: network.description,
        name: network.name,
        kind: network.kind,
        project: "default".to_owned(),
    }
}
