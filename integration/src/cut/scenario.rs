//! The changes that are cut, one for each verb: how the host gets ready for it, what is asked, and what an answer promises.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::host::Host;
use crate::rest::Answer;
use crate::until;

/// A change that a plan (or several) brings about.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Those of whose boundaries it reaches all.
    pub(super) plans: &'static [&'static str],
    /// Makes what the change needs, and removes what an earlier one left.
    pub(super) ready: fn(&Host) -> Result<()>,
    /// Asks for it and returns when it is acknowledged.
    pub(super) change: fn(&Host) -> Result<()>,
    /// Checks what is there. With `Promised::Done` it must be as asked; else as before or as asked, and usable.
    pub(super) check: fn(&Host, Promised) -> Result<()>,
}

/// What the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promised {
    Nothing,
    Done,
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "create-instance",
        plans: &["create-instance"],
        ready: |host| gone(host, CUT),
        change: |host| waited(host, host.rest.post("/1.0/instances", &instance("cut", "default"))?),
        check: |host, promised| made(host, CUT, promised).and_then(|()| usable(host)),
    },
    Scenario {
        name: "start-instance",
        plans: &["start-instance"],
        ready: |host| stopped(host),
        change: |host| state(host, "start"),
        check: |host, promised| {
            settled(host)?;
            anyhow::ensure!(
                promised == Promised::Nothing || status(host)? == "Running",
                "started, and now it does not run"
            );
            usable(host)
        },
    },
    Scenario {
        name: "stop-instance",
        plans: &[],
        ready: |host| {
            stopped(host)?;
            state(host, "start")
        },
        change: |host| state(host, "stop"),
        check: |host, promised| {
            settled(host)?;
            anyhow::ensure!(promised == Promised::Nothing || status(host)? == "Stopped", "stopped, and now it runs");
            usable(host)
        },
    },
    Scenario {
        name: "delete-instance",
        plans: &["delete-instance"],
        ready: |host| stopped(host),
        change: |host| waited(host, host.rest.delete(CUT)?),
        check: |host, promised| unmade(host, CUT, promised).and_then(|()| usable(host)),
    },
    Scenario {
        name: "rename-instance",
        plans: &["rename-instance"],
        ready: |host| {
            gone(host, "/1.0/instances/renamed")?;
            stopped(host)
        },
        change: |host| waited(host, host.rest.post(CUT, &json!({"name": "renamed"}))?),
        check: |host, promised| {
            renamed(host, CUT, "/1.0/instances/renamed", promised)?;
            gone(host, "/1.0/instances/renamed")?;
            usable(host)
        },
    },
    Scenario {
        name: "change-devices",
        plans: &[],
        ready: |host| {
            stopped(host)?;
            state(host, "start")
        },
        change: |host| {
            let device =
                |value: Value| host.rest.patch(CUT, &json!({"devices": {"data": value}}))?.metadata().map(drop);
            device(json!({"type": "disk", "source": "/usr/share", "path": "/mnt/data"}))?;
            let network = host.network().context("the host has a network")?;
            host.rest
                .patch(CUT, &json!({"devices": {"eth9": {"type": "nic", "network": network, "name": "eth9"}}}))?
                .metadata()?;
            device(json!({"type": "none"}))
        },
        check: |host, _| {
            settled(host)?;
            anyhow::ensure!(status(host)? == "Running", "a change of devices has stopped it");
            usable(host)?;
            gone(host, CUT)
        },
    },
    Scenario {
        name: "import-image",
        plans: &["import-image"],
        ready: |host| image_gone(host),
        change: |host| {
            let content = [("content-type", "application/octet-stream"), ("x-lxd-aliases", "alias=cut")];
            let tarball = crate::image::small_image(host.folder(), "tiny")?;
            waited(host, host.rest.request("POST", "/1.0/images", &content, &std::fs::read(tarball)?)?)
        },
        check: |host, promised| {
            made(host, "/1.0/images/aliases/cut", promised)?;
            image_gone(host)?;
            imported(host)
        },
    },
    Scenario {
        name: "delete-image",
        plans: &["delete-image"],
        ready: |host| imported(host),
        change: |host| waited(host, host.rest.delete(&image(host)?.context("the image is there")?)?),
        check: |host, promised| {
            unmade(host, "/1.0/images/aliases/cut", promised)?;
            image_gone(host)
        },
    },
    Scenario {
        name: "unpack-image",
        plans: &["unpack-image"],
        ready: |host| {
            gone(host, "/1.0/instances/second")?;
            gone(host, POOL)?;
            pool(host)
        },
        change: |host| waited(host, host.rest.post("/1.0/instances", &instance("second", "cut"))?),
        check: |host, promised| {
            made(host, "/1.0/instances/second", promised)?;
            gone(host, "/1.0/instances/second")?;
            waited(host, host.rest.post("/1.0/instances", &instance("second", "cut"))?)?;
            gone(host, "/1.0/instances/second")?;
            gone(host, POOL)
        },
    },
    Scenario {
        name: "create-pool",
        plans: &["create-pool"],
        ready: |host| gone(host, POOL),
        change: |host| pool(host),
        check: |host, promised| {
            made(host, POOL, promised)?;
            gone(host, POOL)?;
            pool(host)?;
            gone(host, POOL)
        },
    },
    Scenario {
        name: "delete-pool",
        plans: &["delete-pool"],
        ready: |host| ensure(host, POOL, pool),
        change: |host| host.rest.delete(POOL)?.metadata().map(drop),
        check: |host, promised| {
            unmade(host, POOL, promised)?;
            gone(host, POOL)
        },
    },
    Scenario {
        name: "create-volume",
        plans: &["create-volume"],
        ready: |host| gone(host, VOLUME),
        change: |host| volume(host),
        check: |host, promised| {
            made(host, VOLUME, promised)?;
            gone(host, VOLUME)?;
            volume(host)
        },
    },
    Scenario {
        name: "rename-volume",
        plans: &["rename-volume"],
        ready: |host| {
            gone(host, RENAMED)?;
            ensure(host, VOLUME, volume)
        },
        change: |host| host.rest.post(VOLUME, &json!({"name": "renamed"}))?.metadata().map(drop),
        check: |host, promised| {
            renamed(host, VOLUME, RENAMED, promised)?;
            gone(host, RENAMED)
        },
    },
    Scenario {
        name: "delete-volume",
        plans: &["delete-volume"],
        ready: |host| ensure(host, VOLUME, volume),
        change: |host| host.rest.delete(VOLUME)?.metadata().map(drop),
        check: |host, promised| {
            unmade(host, VOLUME, promised)?;
            gone(host, VOLUME)
        },
    },
    Scenario {
        name: "create-network",
        plans: &["create-network"],
        ready: |host| gone(host, &network(host, 'c')),
        change: |host| make_network(host, 'c'),
        check: |host, promised| {
            made(host, &network(host, 'c'), promised)?;
            gone(host, &network(host, 'c'))?;
            make_network(host, 'c')?;
            gone(host, &network(host, 'c'))
        },
    },
    Scenario {
        name: "rename-network",
        plans: &["rename-network"],
        ready: |host| {
            gone(host, &network(host, 'r'))?;
            ensure(host, &network(host, 'c'), |host| make_network(host, 'c'))
        },
        change: |host| {
            let to = network(host, 'r').trim_start_matches("/1.0/networks/").to_owned();
            host.rest.post(&network(host, 'c'), &json!({"name": to}))?.metadata().map(drop)
        },
        check: |host, promised| {
            renamed(host, &network(host, 'c'), &network(host, 'r'), promised)?;
            gone(host, &network(host, 'r'))?;
            gone(host, &network(host, 'c'))
        },
    },
    Scenario {
        name: "delete-network",
        plans: &["delete-network"],
        ready: |host| ensure(host, &network(host, 'c'), |host| make_network(host, 'c')),
        change: |host| host.rest.delete(&network(host, 'c'))?.metadata().map(drop),
        check: |host, promised| {
            unmade(host, &network(host, 'c'), promised)?;
            gone(host, &network(host, 'c'))
        },
    },
];

const CUT: &str = "/1.0/instances/cut";
const POOL: &str = "/1.0/storage-pools/cut";
const VOLUME: &str = "/1.0/storage-pools/default/volumes/custom/cut";
const RENAMED: &str = "/1.0/storage-pools/default/volumes/custom/renamed";

fn instance(name: &str, pool: &str) -> Value {
    let root = json!({"type": "disk", "path": "/", "pool": pool});
    json!({"name": name, "source": {"type": "image", "alias": "busybox"}, "devices": {"root": root}})
}

fn pool(host: &Host) -> Result<()> {
    host.rest.post("/1.0/storage-pools", &json!({"name": "cut", "driver": "dir", "config": {}}))?.metadata().map(drop)
}

fn volume(host: &Host) -> Result<()> {
    let url = "/1.0/storage-pools/default/volumes/custom";
    host.rest.post(url, &json!({"name": "cut", "config": {}}))?.metadata().map(drop)
}

/// A name that no story beside this one has.
fn network(host: &Host, letter: char) -> String {
    format!("/1.0/networks/{letter}{}", host.network().unwrap_or("cut"))
}

fn make_network(host: &Host, letter: char) -> Result<()> {
    let name = network(host, letter).trim_start_matches("/1.0/networks/").to_owned();
    let config = json!({"ipv4.address": "none", "ipv6.address": "none"});
    host.rest.post("/1.0/networks", &json!({"name": name, "type": "bridge", "config": config}))?.metadata().map(drop)
}

fn waited(host: &Host, answer: Answer) -> Result<()> {
    host.rest.wait(&answer).map(drop)
}

fn exists(host: &Host, url: &str) -> Result<bool> {
    let answer = host.rest.get(url)?;
    anyhow::ensure!(answer.status == 200 || answer.status == 404, "{url}: {}", answer.error()?);
    Ok(answer.status == 200)
}

fn ensure(host: &Host, url: &str, make: fn(&Host) -> Result<()>) -> Result<()> {
    if exists(host, url)? { Ok(()) } else { make(host) }
}

/// Deletes what is there, with what is in it.
fn gone(host: &Host, url: &str) -> Result<()> {
    if !exists(host, url)? {
        return Ok(());
    }
    if url.starts_with("/1.0/instances/") && host.rest.get(&format!("{url}/state"))?.metadata()?["status"] != "Stopped"
    {
        let stop = json!({"action": "stop", "force": true, "timeout": 30});
        waited(host, host.rest.put(&format!("{url}/state"), &stop)?)?;
    }
    let answer = host.rest.delete(url)?;
    if answer.status == 404 {
        return Ok(()); // a cut deletion was finished meanwhile
    }
    match answer.json()?["type"].as_str() {
        Some("async") => waited(host, answer),
        _ => answer.metadata().map(drop),
    }
}

fn made(host: &Host, url: &str, promised: Promised) -> Result<()> {
    anyhow::ensure!(exists(host, url)? || promised == Promised::Nothing, "{url} was acknowledged and is lost");
    Ok(())
}

fn unmade(host: &Host, url: &str, promised: Promised) -> Result<()> {
    anyhow::ensure!(!exists(host, url)? || promised == Promised::Nothing, "{url} was deleted and is there again");
    Ok(())
}

fn renamed(host: &Host, from: &str, to: &str, promised: Promised) -> Result<()> {
    let (old, new) = (exists(host, from)?, exists(host, to)?);
    anyhow::ensure!(old != new, "after renaming {from} to {to}: old {old}, new {new}");
    anyhow::ensure!(new || promised == Promised::Nothing, "the new name {to} was acknowledged and is lost");
    Ok(())
}

fn image(host: &Host) -> Result<Option<String>> {
    let answer = host.rest.get("/1.0/images/aliases/cut")?;
    if answer.status == 404 {
        return Ok(None);
    }
    let alias = answer.metadata()?;
    Ok(Some(format!("/1.0/images/{}", alias["target"].as_str().context("a target")?)))
}

fn image_gone(host: &Host) -> Result<()> {
    let Some(url) = image(host)? else { return Ok(()) };
    match gone(host, &url) {
        Err(_) if image(host)?.is_none() => Ok(()), // a cut deletion was finished meanwhile
        result => result,
    }
}

fn imported(host: &Host) -> Result<()> {
    if image(host)?.is_some() {
        return Ok(());
    }
    let content = [("content-type", "application/octet-stream"), ("x-lxd-aliases", "alias=cut")];
    let tarball = crate::image::small_image(host.folder(), "tiny")?;
    waited(host, host.rest.request("POST", "/1.0/images", &content, &std::fs::read(tarball)?)?)
}

fn status(host: &Host) -> Result<String> {
    let state = host.rest.get(&format!("{CUT}/state"))?.metadata()?;
    Ok(state["status"].as_str().unwrap_or_default().to_owned())
}

fn state(host: &Host, action: &str) -> Result<()> {
    let body = json!({"action": action, "force": true, "timeout": 30});
    waited(host, host.rest.put(&format!("{CUT}/state"), &body)?)
}

fn stopped(host: &Host) -> Result<()> {
    ensure(host, CUT, |host| waited(host, host.rest.post("/1.0/instances", &instance("cut", "default"))?))?;
    if status(host)? == "Stopped" { Ok(()) } else { state(host, "stop") }
}

fn settled(host: &Host) -> Result<()> {
    until("the instance's state settles", Duration::from_secs(10), || {
        let status = status(host).ok()?;
        (status == "Running" || status == "Stopped").then_some(())
    })
}

/// The instance can be made if it is not there, be started if it does not run, and does what it is told.
fn usable(host: &Host) -> Result<()> {
    ensure(host, CUT, |host| waited(host, host.rest.post("/1.0/instances", &instance("cut", "default"))?))?;
    settled(host)?;
    if status(host)? == "Stopped" {
        state(host, "start")?;
    }
    let told = host.client(&["exec", "cut", "--", "hostname"])?.ok()?;
    anyhow::ensure!(told == "cut\n", "its host name is {told:?}");
    Ok(())
}
