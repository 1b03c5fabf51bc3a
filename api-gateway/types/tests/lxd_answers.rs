//! Answers captured from LXD 5.0.2: read into our types and written again, they are the same to the byte (but for white space).

use hull_api::*;
use serde::{Serialize, de::DeserializeOwned};

fn round_trip<T: Serialize + DeserializeOwned + Default>(captured: &str) {
    let answer: Response<T> = serde_json::from_str(captured).expect("LXD answers JSON of this type");
    let written = serde_json::to_string_pretty(&answer).expect("plain data becomes JSON");
    let compact = |text: &str| text.lines().map(str::trim_start).collect::<String>().replace("\": ", "\":");
    assert_eq!(compact(&written), compact(captured));
}

macro_rules! captured {
    ($($test:ident: $file:literal as $kind:ty;)*) => {
        $(#[test] fn $test() { round_trip::<$kind>(include_str!(concat!("captured/", $file))); })*
    };
}

captured! {
    instance: "instance.json" as Instance;
    state: "state.json" as InstanceState;
    snapshots: "snapshots.json" as Vec<InstanceSnapshot>;
    images: "images.json" as Vec<Image>;
    aliases: "aliases.json" as Vec<ImageAliasesEntry>;
    profiles: "profiles.json" as Vec<Profile>;
    network: "network.json" as Network;
    network_state: "network-state.json" as NetworkState;
    leases: "leases.json" as Vec<NetworkLease>;
    pools: "pools.json" as Vec<StoragePool>;
    resources: "resources.json" as ResourcesStoragePool;
    volumes: "volumes.json" as Vec<StorageVolume>;
    projects: "projects.json" as Vec<Project>;
    warnings: "warnings.json" as Vec<Warning>;
    server: "server.json" as Server;
}

#[test]
fn null_and_missing_are_empty() {
    let instance: InstanceFull =
        serde_json::from_str(r#"{"name":"c","snapshots":null,"backups":null,"state":null}"#).unwrap();
    assert!(instance.snapshots.is_empty() && instance.state.is_none() && instance.created_at.is_zero());
}
