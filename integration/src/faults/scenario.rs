//! How hulld is brought to call each method: a request, and what has to be there for it.

use anyhow::{Result, bail};
use hull_plugin::PluginKind;
use serde_json::json;

use super::cell::Cell;
use super::fixture::{FLEETING, POOL, PREY, Stage, VOLUMES};

type Step = fn(&Stage) -> Result<()>;

/// See the module.
#[derive(Clone)]
pub(super) struct Scenario {
    /// Which process the fault is for: a plugin, or a plugin for a pool.
    pub(super) process: String,
    pub(super) prepare: Step,
    pub(super) act: Step,
    pub(super) when: When,
    /// What else is true after a while, if nothing goes wrong.
    pub(super) finally: Step,
    /// A call that is never answered, so that hulld asks the process how it is.
    pub(super) silent: Option<&'static str>,
}

/// When the method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// While the request is under way.
    Meanwhile,
    /// The process is killed first: when it is back.
    Back,
    /// The process is replaced by the request: then, or soon afterwards.
    Replaced,
}

/// Methods that hulld does not call, or not with these drivers, and why.
pub(super) const UNREACHED: [(&str, &str); 4] = [
    ("storage.resize_volume", "`dir` has no quota, so the key is refused before"),
    ("storage.recover", "volumes of `dir` have no handles"),
    ("image.list", "nothing in the API lists what a source has"),
    ("image.recover", "image sources have no handles"),
];

/// `None`: the method is among [`UNREACHED`], or nobody has said yet how it is reached.
pub(super) fn of(cell: &Cell) -> Option<Scenario> {
    if UNREACHED.iter().any(|(subject, _)| *subject == cell.subject()) {
        return None;
    }
    let (prepare, act) = steps(cell.kind, &cell.method)?;
    let process = match (cell.kind, cell.method.as_str()) {
        (PluginKind::Storage, "create_pool" | "delete_pool") => format!("storage-dir@{FLEETING}"),
        (PluginKind::Storage, _) => format!("storage-dir@{POOL}"),
        (PluginKind::Network, _) => "network-bridge".to_owned(),
        (PluginKind::Instance, _) => "instance-container".to_owned(),
        (PluginKind::Image, "resolve" | "fetch") => format!("image-{}", hull_adversary::PROTOCOL),
        (PluginKind::Image, _) => "image-file".to_owned(),
    };
    let when = match cell.method.as_str() {
        "hello" | "describe" | "take_charge" | "recover" | "open_pool" => When::Back,
        "hand_over" | "drain" | "reconcile" | "collect" => When::Replaced,
        _ => When::Meanwhile,
    };
    let finally = if cell.method == "collect" { Stage::has_no_strays } else { nothing };
    let silent = (cell.method == "health").then_some(match cell.kind {
        PluginKind::Storage => "pool_usage",
        PluginKind::Network => "leases",
        PluginKind::Instance => "console_log",
        PluginKind::Image => "inspect",
    });
    Some(Scenario { process, prepare, act, when, finally, silent })
}

fn steps(kind: PluginKind, method: &str) -> Option<(Step, Step)> {
    match kind {
        PluginKind::Storage => storage(method),
        PluginKind::Network => network(method),
        PluginKind::Instance => instance(method),
        PluginKind::Image => image(method),
    }
}

fn storage(method: &str) -> Option<(Step, Step)> {
    let (prepare, act): (Step, Step) = match method {
        "create_pool" => (nothing, |stage| stage.done(stage.rest.post("/1.0/storage-pools", &fleeting())?)),
        "delete_pool" => (
            |stage| stage.done(stage.rest.post("/1.0/storage-pools", &fleeting())?),
            |stage| stage.done(stage.rest.delete(&format!("/1.0/storage-pools/{FLEETING}"))?),
        ),
        "open_pool" | "pool_usage" | "hello" | "describe" | "take_charge" | "health" => {
            (nothing, |stage| stage.done(stage.rest.get(&format!("/1.0/storage-pools/{POOL}/resources"))?))
        }
        "create_volume" => (nothing, volume),
        "delete_volume" => (volume, |stage| stage.done(stage.rest.delete(&format!("{VOLUMES}/one"))?)),
        "rename_volume" => {
            (volume, |stage| stage.done(stage.rest.post(&format!("{VOLUMES}/one"), &json!({"name": "two"}))?))
        }
        "volume_usage" => (volume, |stage| stage.done(stage.rest.get(&format!("{VOLUMES}/one/state"))?)),
        "hand_over" | "drain" | "reconcile" => (start, |stage| replace(stage, "storage-dir")),
        "collect" => (Stage::stray_volume, |stage| replace(stage, "storage-dir")),
        "mount_volume" => (nothing, start),
        "unmount_volume" => (start, force),
        _ => return None,
    };
    Some((prepare, act))
}

fn network(method: &str) -> Option<(Step, Step)> {
    let (prepare, act): (Step, Step) = match method {
        "ensure_network" | "validate_network" => (nothing, other_network),
        "delete_network" => {
            (other_network, |stage| stage.done(stage.rest.delete(&format!("/1.0/networks/{}", stage.other_network))?))
        }
        "network_state" => {
            (nothing, |stage| stage.done(stage.rest.get(&format!("/1.0/networks/{}/state", stage.network))?))
        }
        "leases" | "hello" | "describe" | "take_charge" | "recover" | "health" => {
            (nothing, |stage| stage.done(stage.rest.get(&format!("/1.0/networks/{}/leases", stage.network))?))
        }
        "hand_over" | "drain" | "reconcile" => (start, |stage| replace(stage, "network-bridge")),
        "collect" => (Stage::stray_link, |stage| replace(stage, "network-bridge")),
        "host_interfaces" => (nothing, |stage| stage.done(stage.rest.get("/1.0/networks")?)),
        "attach_nic" => (nothing, start),
        "detach_nic" => (start, force),
        _ => return None,
    };
    Some((prepare, act))
}

fn instance(method: &str) -> Option<(Step, Step)> {
    let (prepare, act): (Step, Step) = match method {
        "prepare" | "attach_mount" | "start" => (nothing, start),
        "detach_mount" => (start, |stage| stage.set_devices(false)),
        "signal" => (start, |stage| stage.change("stop", false)),
        "kill" | "cleanup" => (start, force),
        "freeze" => (start, |stage| stage.change("freeze", false)),
        "thaw" => (
            |stage| {
                start(stage)?;
                stage.change("freeze", false)
            },
            |stage| stage.change("unfreeze", false),
        ),
        "exec" => (start, |stage| {
            let wish = json!({"command": ["true"], "wait-for-websocket": false, "interactive": false});
            stage.done(stage.rest.post(&format!("{PREY}/exec"), &wish)?)
        }),
        "console" | "resize_console" => (start, |stage| {
            let wish = json!({"type": "console", "width": 80, "height": 24});
            // The session waits for its websockets until the instance ends: nobody waits for it here.
            stage.rest.post(&format!("{PREY}/console"), &wish)?.metadata().map(drop)
        }),
        "console_log" | "hello" | "describe" | "take_charge" | "recover" | "health" => {
            (start, |stage| read(stage, &format!("{PREY}/console")))
        }
        "hand_over" | "drain" => (start, |stage| replace(stage, "instance-container")),
        "clear_console_log" => (start, |stage| stage.done(stage.rest.delete(&format!("{PREY}/console"))?)),
        "read_file" => (start, |stage| read(stage, &format!("{PREY}/files?path=/etc/passwd"))),
        "write_file" => (start, file),
        "delete_file" => (
            |stage| {
                start(stage)?;
                file(stage)
            },
            |stage| stage.done(stage.rest.delete(&format!("{PREY}/files?path=/root/file"))?),
        ),
        "state" => (start, |stage| stage.done(stage.rest.get(&format!("{PREY}/state"))?)),
        _ => return None,
    };
    Some((prepare, act))
}

fn image(method: &str) -> Option<(Step, Step)> {
    let (prepare, act): (Step, Step) = match method {
        "receive" | "inspect" | "hello" | "describe" | "take_charge" | "health" => (nothing, upload),
        "hand_over" | "drain" => (
            |stage| {
                upload(stage)?;
                stage.clear()
            },
            |stage| replace(stage, "image-file"),
        ),
        "resolve" | "fetch" => (nothing, |stage| {
            let source = json!({
                "type": "image", "mode": "pull", "server": "", "protocol": hull_adversary::PROTOCOL, "alias": "small",
            });
            stage.done(stage.rest.post("/1.0/images", &json!({"source": source}))?)
        }),
        _ => return None,
    };
    Some((prepare, act))
}

fn nothing(_: &Stage) -> Result<()> {
    Ok(())
}

fn upload(stage: &Stage) -> Result<()> {
    let headers = [("Content-Type", "application/octet-stream")];
    stage.done(stage.rest.request("POST", "/1.0/images", &headers, &stage.image)?)
}

/// Every process of the plugin by a fresh one, which is started beside it.
fn replace(stage: &Stage, plugin: &str) -> Result<()> {
    stage.done(stage.rest.post(&format!("/1.0/plugins/{plugin}/restart"), &json!({}))?)
}

fn fleeting() -> serde_json::Value {
    json!({"name": FLEETING, "driver": "dir", "config": {}})
}

fn volume(stage: &Stage) -> Result<()> {
    stage.done(stage.rest.post(VOLUMES, &json!({"name": "one", "type": "custom", "config": {}}))?)
}

fn other_network(stage: &Stage) -> Result<()> {
    let config = json!({"ipv4.address": "none", "ipv6.address": "none"});
    stage.done(
        stage.rest.post("/1.0/networks", &json!({"name": stage.other_network, "type": "bridge", "config": config}))?,
    )
}

fn start(stage: &Stage) -> Result<()> {
    stage.start_prey()
}

fn force(stage: &Stage) -> Result<()> {
    stage.change("stop", true)
}

fn file(stage: &Stage) -> Result<()> {
    let headers = [("X-LXD-type", "file"), ("X-LXD-mode", "0644"), ("Content-Type", "application/octet-stream")];
    stage.done(stage.rest.request("POST", &format!("{PREY}/files?path=/root/file"), &headers, b"content")?)
}

/// A request that is answered with bytes.
fn read(stage: &Stage, url: &str) -> Result<()> {
    let answer = stage.rest.get(url)?;
    if answer.status != 200 {
        bail!("{}: {}", answer.status, answer.error()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_reached_or_said_not_to_be() {
        let missing: Vec<String> = Cell::all().iter().filter(|cell| of(cell).is_none()).map(Cell::subject).collect();
        for subject in &missing {
            assert!(UNREACHED.iter().any(|(known, _)| known == subject), "say how `{subject}` is reached");
        }
        for (subject, _) in UNREACHED {
            assert!(missing.iter().any(|one| one == subject), "`{subject}` is no method that is not reached");
        }
    }
}
