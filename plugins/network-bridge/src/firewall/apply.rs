//! One `nft` process a change: it sends the kernel a single transaction.

use std::process::Stdio;

use hull_plugin::{Code, DriverError};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::rules::{self, Guard};
use super::script::Script;
use crate::config::Network;

/// The tables of one Hull.
#[derive(Clone, Debug)]
pub(crate) struct Firewall {
    tag: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FirewallError {
    #[error("cannot run `{NFT}`")]
    Run(#[source] std::io::Error),
    #[error("`nft` refuses the rules of {of}: {why}")]
    Refused { of: String, why: String },
    #[error("cannot read the list of tables that `nft` gave")]
    Unreadable(#[source] serde_json::Error),
}

impl Firewall {
    pub(crate) fn new(tag: &str) -> Self {
        Self { tag: tag.into() }
    }

    pub(crate) async fn set_network(&self, network: &Network) -> Result<(), FirewallError> {
        let of = format!("network `{}`", network.name);
        run(&rules::network(&self.table(&network.name), network), of).await
    }

    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), FirewallError> {
        run(&rules::remove_table("inet", &self.table(name)), format!("network `{name}`")).await
    }

    pub(crate) async fn set_guard(&self, guard: &Guard) -> Result<(), FirewallError> {
        run(&rules::guard(&self.guards(), guard), format!("interface `{}`", guard.interface)).await
    }

    pub(crate) async fn remove_guard(&self, interface: &str) -> Result<(), FirewallError> {
        run(&rules::unguard(&self.guards(), interface), format!("interface `{interface}`")).await
    }

    /// The networks that have a table with this Hull's tag.
    pub(crate) async fn networks(&self) -> Result<Vec<String>, FirewallError> {
        let listing =
            output(Command::new(NFT).args(["-j", "list", "tables", "inet"]).stdin(Stdio::null()), "the list").await?;
        let listing: Listing = serde_json::from_slice(&listing).map_err(FirewallError::Unreadable)?;
        let names = listing.nftables.into_iter().filter_map(|item| item.table).map(|table| table.name);
        let prefix = self.table("");
        Ok(names.filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    fn table(&self, network: &str) -> String {
        format!("hull-{}-{network}", self.tag)
    }

    fn guards(&self) -> String {
        format!("hull-{}", self.tag)
    }
}

impl From<FirewallError> for DriverError {
    fn from(error: FirewallError) -> Self {
        match &error {
            FirewallError::Run(source) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::from_chain(Code::Unavailable, &error).hint("install the package nftables")
            }
            _ => Self::from_chain(Code::Internal, &error),
        }
    }
}

#[derive(serde::Deserialize)]
struct Listing {
    nftables: Vec<Item>,
}

#[derive(serde::Deserialize)]
struct Item {
    table: Option<Table>,
}

#[derive(serde::Deserialize)]
struct Table {
    name: String,
}

async fn run(script: &Script, of: String) -> Result<(), FirewallError> {
    let mut child = Command::new(NFT);
    child.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = child.env_clear().spawn().map_err(FirewallError::Run)?;
    if let Some(mut input) = child.stdin.take() {
        // nft reads all before it writes; if it died early its own words tell more than the broken pipe.
        let _ = input.write_all(script.text().as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(FirewallError::Run)?;
    if output.status.success() { Ok(()) } else { Err(FirewallError::Refused { of, why: first_words(&output.stderr) }) }
}

async fn output(command: &mut Command, of: &str) -> Result<Vec<u8>, FirewallError> {
    let output = command.env_clear().kill_on_drop(true).output().await.map_err(FirewallError::Run)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(FirewallError::Refused { of: of.into(), why: first_words(&output.stderr) })
    }
}

fn first_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    lines.join("; ")
}

const NFT: &str = "/usr/sbin/nft";
