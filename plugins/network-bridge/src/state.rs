//! The state directory: what must be known again after a crash of the driver or a reboot.
//!
//! ```text
//! tag                       tells this Hull's bridges and rules from those of another on the same host
//! networks/NAME/record.json what was asked for, and what was made of it
//! networks/NAME/…           dnsmasq's files
//! nics/KEY.json             a NIC that is attached
//! ```
//! Every file is replaced as a whole. Records are also kept in memory: reading costs nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hull_plugin::{ConfigMap, DriverError};
use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Mac;

pub(crate) struct State {
    root: PathBuf,
    tag: String,
    networks: RefCell<BTreeMap<String, NetworkRecord>>,
    nics: RefCell<BTreeMap<String, NicRecord>>,
}

/// A network, written before anything of it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// The call that asked for it last; repeated, it gets the same answer.
    pub(crate) operation: String,
    pub(crate) filled: ConfigMap,
}

/// A NIC, written before anything of it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NicRecord {
    pub(crate) instance: String,
    pub(crate) device: String,
    /// `None`: on a bridge that is not Hull's.
    pub(crate) network: Option<String>,
    pub(crate) host_name: String,
    /// The same, if DNS can have it.
    pub(crate) dns_name: Option<String>,
    pub(crate) host_interface: String,
    pub(crate) bridge: String,
    pub(crate) mac: Mac,
    pub(crate) ipv4: Option<IpAddr>,
    pub(crate) ipv6: Option<IpAddr>,
    #[serde(default)]
    pub(crate) routes: Vec<IpNet>,
    pub(crate) guarded: bool,
    /// The device that shapes what the instance sends.
    pub(crate) shaper: Option<String>,
    /// The number of the instance's network namespace in the host's.
    #[serde(default)]
    pub(crate) namespace: Option<i32>,
}

impl NicRecord {
    /// How Hull calls the NIC.
    pub(crate) fn object(&self) -> String {
        format!("{}/{}", self.instance, self.device)
    }

    /// A file name of its own.
    pub(crate) fn key(&self) -> String {
        nic_key(&self.instance, &self.device)
    }
}

impl State {
    pub(crate) fn open(root: &Path) -> Result<Self, DriverError> {
        let failed =
            |path: &Path, error: io::Error| DriverError::system(&error, format!("cannot prepare `{}`", path.display()));
        for directory in [root.to_path_buf(), root.join(NETWORKS), root.join(NICS)] {
            std::fs::create_dir_all(&directory).map_err(|error| failed(&directory, error))?;
        }
        // dnsmasq, by then without privilege, reads the hosts below again and again.
        for directory in [root.to_path_buf(), root.join(NETWORKS)] {
            let open = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(&directory, open).map_err(|error| failed(&directory, error))?;
        }
        let tag = tag(&root.join("tag")).map_err(|error| failed(&root.join("tag"), error))?;
        let networks = RefCell::new(read_all(&root.join(NETWORKS), |entry| entry.join(RECORD)));
        let nics = RefCell::new(read_all(&root.join(NICS), Path::to_path_buf));
        Ok(Self { root: root.into(), tag, networks, nics })
    }

    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// The alias that marks an interface as this Hull's.
    pub(crate) fn mark(&self) -> String {
        format!("hull:{}", self.tag)
    }

    /// Where a network's files are.
    pub(crate) fn directory(&self, network: &str) -> PathBuf {
        self.root.join(NETWORKS).join(network)
    }

    pub(crate) fn network(&self, name: &str) -> Option<NetworkRecord> {
        self.networks.borrow().get(name).cloned()
    }

    pub(crate) fn network_names(&self) -> Vec<String> {
        self.networks.borrow().keys().cloned().collect()
    }

    pub(crate) fn keep_network(&self, name: &str, record: NetworkRecord) -> Result<(), DriverError> {
        let directory = self.directory(name);
        std::fs::create_dir_all(&directory).map_err(|error| unwritable(&error, &directory))?;
        write_json(&directory.join(RECORD), &record, Durability::Disk)?;
        self.networks.borrow_mut().insert(name.into(), record);
        Ok(())
    }

    pub(crate) fn forget_network(&self, name: &str) -> Result<(), DriverError> {
        let directory = self.directory(name);
        // The record goes first: what remains after a crash in between is not a network any more.
        remove(&directory.join(RECORD))?;
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&error, &directory)),
            _ => {}
        }
        self.networks.borrow_mut().remove(name);
        Ok(())
    }

    pub(crate) fn nic(&self, instance: &str, device: &str) -> Option<NicRecord> {
        self.nics.borrow().get(&nic_key(instance, device)).cloned()
    }

    pub(crate) fn nics(&self) -> Vec<NicRecord> {
        self.nics.borrow().values().cloned().collect()
    }

    pub(crate) fn nics_of(&self, network: &str) -> Vec<NicRecord> {
        let of = |nic: &&NicRecord| nic.network.as_deref() == Some(network);
        self.nics.borrow().values().filter(of).cloned().collect()
    }

    pub(crate) fn keep_nic(&self, record: NicRecord) -> Result<(), DriverError> {
        let key = record.key();
        write_json(&self.nic_path(&key), &record, Durability::Process)?;
        self.nics.borrow_mut().insert(key, record);
        Ok(())
    }

    pub(crate) fn forget_nic(&self, record: &NicRecord) -> Result<(), DriverError> {
        let key = record.key();
        remove(&self.nic_path(&key))?;
        self.nics.borrow_mut().remove(&key);
        Ok(())
    }

    fn nic_path(&self, key: &str) -> PathBuf {
        self.root.join(NICS).join(format!("{key}.json"))
    }
}

/// Replaces a file as a whole; the same content leaves it alone.
pub(crate) fn write_file(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(content)?;
    // A NIC is gone after a reboot anyway; what a network was given must not be.
    if durability == Durability::Disk {
        file.sync_all()?;
    }
    std::fs::rename(&draft, path)
}

/// What a file outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// This process.
    Process,
    /// The host's power.
    Disk,
}

/// The tag in the file, made at the first start.
fn tag(path: &Path) -> io::Result<String> {
    let valid = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match std::fs::read_to_string(path) {
        Ok(text) if valid(text.trim()) => Ok(text.trim().into()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it must hold 8 hexadecimal digits")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let tag = format!("{:08x}", rand::random::<u32>());
            write_file(path, format!("{tag}\n").as_bytes(), Durability::Disk)?;
            Ok(tag)
        }
        Err(error) => Err(error),
    }
}

/// Instance ids and device names are longer and freer than file names may be.
fn nic_key(instance: &str, device: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(instance);
    hash.update([0]);
    hash.update(device);
    hex::encode(&hash.finalize()[..16])
}

/// Records by file name. One that cannot be read is reported and left: its object shows up as unknown.
fn read_all<T: DeserializeOwned>(directory: &Path, file: impl Fn(&Path) -> PathBuf) -> BTreeMap<String, T> {
    let mut records = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = file(&entry.path());
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".new") || !path.is_file() {
            continue;
        }
        match std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(record)) => {
                records.insert(name.trim_end_matches(".json").to_owned(), record);
            }
            Ok(Err(error)) => tracing::warn!(path = %path.display(), %error, "unreadable record"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "unreadable record"),
        }
    }
    records
}

fn write_json(path: &Path, value: &impl Serialize, durability: Durability) -> Result<(), DriverError> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| DriverError::internal("cannot encode a record").because(error))?;
    write_file(path, &bytes, durability).map_err(|error| unwritable(&error, path))
}

fn remove(path: &Path) -> Result<(), DriverError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&error, path)),
        _ => Ok(()),
    }
}

fn unwritable(error: &io::Error, path: &Path) -> DriverError {
    DriverError::system(error, format!("cannot write `{}`", path.display()))
}

const NETWORKS: &str = "networks";
const NICS: &str = "nics";
const RECORD: &str = "record.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_tag_are_there_again_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let nic = NicRecord {
            instance: "c1".into(),
            device: "/odd/ name".into(),
            network: Some("br0".into()),
            host_name: "c1".into(),
            dns_name: Some("c1".into()),
            host_interface: "veth00000001".into(),
            bridge: "br0".into(),
            mac: "00:16:3e:00:00:01".parse().unwrap(),
            ipv4: "10.0.0.5".parse().ok(),
            ipv6: None,
            routes: vec![],
            guarded: true,
            shaper: None,
            namespace: None,
        };
        let network = NetworkRecord { operation: "1".into(), filled: [("a".into(), "b".into())].into() };
        let state = State::open(root.path()).unwrap();
        state.keep_network("br0", network.clone()).unwrap();
        state.keep_nic(nic.clone()).unwrap();

        let again = State::open(root.path()).unwrap();
        assert_eq!(again.tag(), state.tag());
        assert_eq!(again.network("br0"), Some(network));
        assert_eq!(again.nics_of("br0"), vec![nic.clone()]);
        again.forget_nic(&nic).unwrap();
        again.forget_network("br0").unwrap();
        again.forget_network("br0").unwrap();
        assert!(State::open(root.path()).unwrap().network_names().is_empty());
    }
}
