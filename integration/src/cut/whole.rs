//! Whether what is on the disk and in the kernel is exactly what the API says there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::host::Host;
use crate::{leaks, until};

/// Waits until all agree: what was cut is taken up beside the API, and collected after that.
pub(crate) fn assert_whole(host: &Host) -> Result<()> {
    let mut last = Ok(());
    let whole = until("disk, kernel and API agree", Duration::from_secs(20), || {
        last = whole(host);
        last.is_ok().then_some(())
    });
    whole.or(last)
}

fn whole(host: &Host) -> Result<()> {
    let names = |url: &str| -> Result<BTreeSet<String>> {
        let list = host.rest.get(url)?.metadata()?;
        let last = |url: &Value| Some(url.as_str()?.rsplit('/').next()?.split('?').next()?.to_owned());
        Ok(list.as_array().into_iter().flatten().filter_map(last).collect())
    };
    let (pools, below) = (places(host)?, host.directory().join("storage-pools"));
    let own = pools.iter().filter(|(_, place)| place.starts_with(&below)).map(|(name, _)| name.clone()).collect();
    same("pools and their directories", &own, &entries(&below))?;
    for (pool, place) in &pools {
        same("half-made volumes", &BTreeSet::new(), &entries(&place.join("making")))?;
        for kind in ["container", "image", "custom"] {
            let known = names(&format!("/1.0/storage-pools/{pool}/volumes/{kind}"))?;
            same(&format!("{kind} volumes of `{pool}`"), &known, &entries(&place.join("volumes").join(kind)))?;
        }
    }
    let files = entries(&host.directory().join("images"));
    let files = files.iter().map(|name| name.trim_end_matches(".rootfs").to_owned()).collect();
    same("images and their files", &names("/1.0/images")?, &files)?;
    let running = running(host)?;
    same("running instances and control groups", &running, &groups(host))?;
    links(host, &running)
}

/// Where each pool is: below HULL_DIR, or where the administrator has said.
fn places(host: &Host) -> Result<BTreeMap<String, PathBuf>> {
    let pools = host.rest.get("/1.0/storage-pools?recursion=1")?.metadata()?;
    let place = |pool: &Value| {
        let (name, source) = (pool["name"].as_str()?, pool["config"]["source"].as_str()?);
        Some((name.to_owned(), PathBuf::from(source)))
    };
    Ok(pools.as_array().into_iter().flatten().filter_map(place).collect())
}

/// Every marked link is a network's bridge or the host's end of a running instance's NIC.
fn links(host: &Host, running: &BTreeSet<String>) -> Result<()> {
    let Some(tag) = leaks::tag(&host.directory()) else { return Ok(()) };
    let found: BTreeSet<String> =
        leaks::links(&tag).into_iter().map(|link| link.trim_start_matches("link: ").to_owned()).collect();
    let mut known = BTreeSet::new();
    for network in host.rest.get("/1.0/networks?recursion=1")?.metadata()?.as_array().into_iter().flatten() {
        if network["managed"] == true {
            known.extend(network["name"].as_str().map(str::to_owned));
        }
    }
    for name in running {
        let config = host.rest.get(&format!("/1.0/instances/{name}"))?.metadata()?["config"].clone();
        let ends = config.as_object().into_iter().flatten().filter(|(key, _)| key.ends_with(".host_name"));
        known.extend(ends.filter_map(|(_, value)| value.as_str().map(str::to_owned)));
    }
    same("networks, NICs and links", &known, &found)
}

fn running(host: &Host) -> Result<BTreeSet<String>> {
    let all = host.rest.get("/1.0/instances?recursion=1")?.metadata()?;
    let running = all.as_array().into_iter().flatten().filter(|one| one["status"] != "Stopped");
    Ok(running.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
}

fn groups(host: &Host) -> BTreeSet<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let directories = leaks::group_directories(&mounts, &leaks::group_name(&host.directory()));
    directories.iter().flat_map(|group| folders(&group.join("instances"))).collect()
}

fn entries(place: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn folders(place: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn same(what: &str, known: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<()> {
    if known != found {
        let missing: Vec<_> = known.difference(found).collect();
        let unknown: Vec<_> = found.difference(known).collect();
        bail!("{what} differ: missing {missing:?}, of nobody {unknown:?}");
    }
    Ok(())
}
