//! Making a network, or bringing it to a changed configuration.
//!
//! ```text
//! fill in ─ check ─ record ─ apply ─▶ ready
//!                     ▲        │ any failure: a new network is deleted, a changed one gets its old settings back
//!                     └────────┘
//! ```

use hull_plugin::network::{NetworkReady, NetworkSpec};
use hull_plugin::{Code, ConfigMap, DriverError, OperationId};
use ipnet::IpNet;

use super::apply::apply;
use crate::config::{self, Network, Taken};
use crate::driver::Open;
use crate::handle;
use crate::link::{Found, Kind};
use crate::state::NetworkRecord;
use crate::sysctl;

pub(crate) async fn ensure(open: &Open, op: &OperationId, spec: &NetworkSpec) -> Result<NetworkReady, DriverError> {
    let _one_at_a_time = open.networks.lock().await;
    let name = spec.name.as_str();
    Network::parse(name, &spec.config)?;
    let previous = open.state.network(name);
    let filled = match &previous {
        Some(record) if record.operation == op.as_str() => record.filled.clone(),
        _ => fill(open, name, &spec.config, previous.as_ref()).await?,
    };
    let network = Network::parse(name, &filled)?;
    let bridge = open.links.find(name).await?;
    refuse_foreign(open, name, bridge.as_ref(), previous.as_ref())?;
    refuse_overlap(open, &network, previous.as_ref()).await?;

    open.state.keep_network(name, NetworkRecord { operation: op.as_str().into(), filled: filled.clone() })?;
    let before = previous.as_ref().and_then(|record| Network::parse(name, &record.filled).ok());
    if let Err(error) = apply(open, &network, before.as_ref()).await {
        return Err(undo(open, name, previous, &network, error).await);
    }
    Ok(NetworkReady { handle: handle::network(name), config: filled })
}

/// Checks a configuration without touching anything.
pub(crate) fn validate(spec: &NetworkSpec) -> Result<(), DriverError> {
    Network::parse(spec.name.as_str(), &spec.config).map(|_| ())
}

async fn fill(
    open: &Open,
    name: &str,
    config: &ConfigMap,
    previous: Option<&NetworkRecord>,
) -> Result<ConfigMap, DriverError> {
    let taken = taken(open, name).await?;
    config::fill(config, previous.map(|record| &record.filled), sysctl::ipv6_works(), &taken, &mut rand::rng())
}

/// Subnets that are not this network's: of other interfaces, of routes, of Hull's other networks even if they are down.
async fn taken(open: &Open, name: &str) -> Result<Taken, DriverError> {
    let mut taken = addresses_taken(open, name).await?;
    let own = open.links.find(name).await?.map(|link| link.index);
    for (interface, net) in open.links.routes().await? {
        if interface.is_none() || interface != own {
            taken.add(net, "a route of the host");
        }
    }
    Ok(taken)
}

async fn addresses_taken(open: &Open, name: &str) -> Result<Taken, DriverError> {
    let mut taken = Taken::default();
    let links = open.links.all().await?;
    for (index, net, address) in open.links.addresses().await? {
        let owner = links.iter().find(|link| link.index == index).map_or("?", |link| link.name.as_str());
        if owner != name && address.scope == "global" {
            taken.add(net, format!("interface `{owner}`"));
        }
    }
    for other in open.state.network_names().into_iter().filter(|other| other != name) {
        let Some(record) = open.state.network(&other) else { continue };
        let Ok(network) = Network::parse(&other, &record.filled) else { continue };
        for net in network.families().into_iter().filter_map(|family| family.address) {
            taken.add(net, format!("network `{other}`"));
        }
    }
    Ok(taken)
}

/// An interface of that name which this Hull did not make is never touched.
fn refuse_foreign(
    open: &Open,
    name: &str,
    bridge: Option<&Found>,
    previous: Option<&NetworkRecord>,
) -> Result<(), DriverError> {
    let Some(link) = bridge else { return Ok(()) };
    let ours = link.alias == open.state.mark();
    // Made, but a crash came before the mark.
    let half_made = link.alias.is_empty() && previous.is_some();
    if link.kind == Kind::Bridge && (ours || half_made) {
        return Ok(());
    }
    Err(DriverError::new(Code::AlreadyExists, format!("Network interface {name:?} already exists"))
        .hint("choose another name, or use the existing bridge with parent= in a NIC"))
}

/// A new address must not be within what the host uses elsewhere. One that was accepted before stays accepted: the
/// host may have moved, and a network that does not come up would be worse.
async fn refuse_overlap(open: &Open, network: &Network, previous: Option<&NetworkRecord>) -> Result<(), DriverError> {
    let taken = addresses_taken(open, &network.name).await?;
    for family in network.families() {
        let Some(net) = family.address else { continue };
        let key = format!("{}.address", family.version.prefix());
        let Some((other, owner)) = taken.owner(net) else { continue };
        let known = previous.and_then(|record| record.filled.get(&key)).and_then(|text| text.parse::<IpNet>().ok());
        if known == Some(net) {
            tracing::warn!(network = network.name, %net, %other, owner, "the subnet overlaps with another");
            continue;
        }
        let message = format!(
            "Invalid value for network {:?} option {key:?}: {net} overlaps with {other} of {owner}",
            network.name
        );
        return Err(DriverError::invalid(&key, message));
    }
    Ok(())
}

/// Back to what was there; the error tells what of that failed too.
async fn undo(
    open: &Open,
    name: &str,
    previous: Option<NetworkRecord>,
    tried: &Network,
    error: DriverError,
) -> DriverError {
    let undone = match previous {
        None => super::delete::remove(open, name).await,
        Some(record) => {
            match open.state.keep_network(name, record.clone()).and_then(|()| Network::parse(name, &record.filled)) {
                Ok(before) => apply(open, &before, Some(tried)).await,
                Err(error) => Err(error),
            }
        }
    };
    match undone {
        Ok(()) => error,
        Err(also) => error.because(format!("and going back failed: {also}")),
    }
}
