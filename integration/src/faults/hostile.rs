//! A Hull whose drivers are adversaries: hulld and gateway as they are, each driver behind one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hull_adversary::{IMAGE, ORDERS, PROTOCOL};
use toml::{Table, Value};

use crate::{Settings, programs};

/// The drivers whose places are taken, and their manifests: a build may be shared by several checkouts, none of them for ever.
const DRIVERS: [(&str, &str); 4] = [
    ("storage-dir", include_str!("../../../plugins/storage-dir/plugin.toml")),
    ("network-bridge", include_str!("../../../plugins/network-bridge/plugin.toml")),
    ("instance-container", include_str!("../../../plugins/instance-container/plugin.toml")),
    ("image-file", include_str!("../../../plugins/image-file/plugin.toml")),
];
/// A sandbox's bound on processes is for the driver; this many more are the adversary.
const PROCESSES: i64 = 16;
/// So long a driver may take for any call; the real bounds would make a hang last for minutes.
pub(super) const LONGEST_CALL: &str = "3000";

/// Puts the programs into `folder`; orders go to `folder/orders`, with the image that the adversary's source has.
pub(super) fn install(folder: &Path, image: &Path) -> Result<Settings> {
    let (built, installed) = (programs()?, folder.join("installed"));
    let orders = folder.join(ORDERS);
    fs::create_dir_all(installed.join("bin"))?;
    fs::create_dir_all(&orders)?;
    // Plugins are all kinds of users.
    fs::set_permissions(&orders, fs::Permissions::from_mode(0o777))?;
    fs::copy(image, orders.join(IMAGE))?;
    fs::set_permissions(orders.join(IMAGE), fs::Permissions::from_mode(0o644))?;
    for program in ["hulld", "hull-gateway"] {
        share(&built.join(program), &installed.join("bin").join(program))?;
    }
    for (name, manifest) in DRIVERS {
        adversary(name, manifest, &built, &plugin_folder(&installed, name)?, &orders)?;
    }
    source(&built, &plugin_folder(&installed, &format!("image-{PROTOCOL}"))?, &orders)?;
    // tarpc panics on some answers, which hulld catches; a debug build would look its own symbols up for seconds.
    let environment = [("HULL_TEST_LONGEST_CALL", LONGEST_CALL), ("RUST_BACKTRACE", "0")];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.into())).into();
    Ok(Settings { programs: Some(installed.join("bin")), environment })
}

fn plugin_folder(installed: &Path, name: &str) -> Result<PathBuf> {
    let folder = installed.join("lib/hull/plugins").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The driver's own manifest, and on top of it what the adversary needs: the driver's program and the orders.
fn adversary(name: &str, manifest: &str, built: &Path, folder: &Path, orders: &Path) -> Result<()> {
    let mut manifest: Table = manifest.parse()?;
    for companion in list(&mut manifest, "companions")?.iter().filter_map(Value::as_str) {
        share(&built.join(companion), &folder.join(companion))?;
    }
    list(&mut manifest, "companions")?.extend(["driver", "place"].map(Value::from));
    let sandbox = table(&mut manifest, "sandbox")?;
    list(sandbox, "execute")?.push("/driver".into());
    list(sandbox, "write")?.push(orders.display().to_string().into());
    let limits = table(&mut manifest, "limits")?;
    let processes = limits.get("processes").and_then(Value::as_integer).unwrap_or(64);
    limits.insert("processes".into(), (processes + PROCESSES).into());
    fs::write(folder.join("plugin.toml"), manifest.to_string())?;
    fs::write(folder.join("place"), orders.display().to_string())?;
    share(&built.join(name), &folder.join("driver"))?;
    share(&built.join("hull-adversary"), &folder.join(name))
}

/// An image source of the adversary's own, which needs no network.
fn source(built: &Path, folder: &Path, orders: &Path) -> Result<()> {
    let orders = orders.display().to_string();
    let name = format!("image-{PROTOCOL}");
    let manifest = format!(
        "name = \"{name}\"\nkind = \"image\"\ndescription = \"An image source without a network\"\nversion = \"1\"\n\
         contract = {{ oldest = 1, newest = 1 }}\ncompanions = [\"place\"]\n\
         [sandbox]\nexecute = [\"/plugin\"]\nwrite = [\"{orders}\"]\n"
    );
    fs::write(folder.join("plugin.toml"), manifest)?;
    fs::write(folder.join("place"), orders)?;
    share(&built.join("hull-adversary"), &folder.join(name))
}

fn table<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Table> {
    let value = parent.entry(key).or_insert_with(|| Table::new().into());
    value.as_table_mut().with_context(|| format!("`{key}` of a manifest is no table"))
}

fn list<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Vec<Value>> {
    let value = parent.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    value.as_array_mut().with_context(|| format!("`{key}` of a manifest is no list"))
}

/// The same file under another name, where the file systems allow it.
fn share(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)
            .with_context(|| format!("cannot copy `{}` (built? `cargo build --workspace`)", from.display()))?;
    }
    Ok(())
}
