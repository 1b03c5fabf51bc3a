//! Comparing what Hull knows with what there is, and taking away what nobody knows.

use std::collections::BTreeSet;

use hull_plugin::DriverError;
use hull_plugin::storage::Reconciled;

use crate::driver::Open;
use crate::link::Kind;
use crate::{network, nic};

/// `known` holds `INSTANCE/DEVICE` for NICs and bare names for networks.
pub(crate) async fn reconcile(open: &Open, known: &BTreeSet<String>) -> Result<Reconciled, DriverError> {
    let links = open.links.all().await?;
    let marked: BTreeSet<_> =
        links.iter().filter(|link| link.alias == open.state.mark()).map(|link| link.name.as_str()).collect();
    let nics = open.state.nics();

    let alive = |object: &str| match object.split_once('/') {
        None => marked.contains(object) && open.state.network(object).is_some(),
        Some(_) => nics.iter().any(|nic| nic.object() == object && marked.contains(nic.host_interface.as_str())),
    };
    let missing = known.iter().filter(|object| !alive(object)).cloned().collect();

    let networks = open.state.network_names();
    let mut unknown: Vec<_> =
        networks.iter().filter(|name| !known.contains(*name)).map(|name| format!("network:{name}")).collect();
    unknown.extend(
        nics.iter()
            .map(|nic| nic.object())
            .filter(|object| !known.contains(object))
            .map(|object| format!("nic:{object}")),
    );
    let used = |name: &str| {
        networks.iter().any(|network| network == name)
            || nics.iter().any(|nic| nic.host_interface == name || nic.shaper.as_deref() == Some(name))
    };
    for link in links.iter().filter(|link| marked.contains(link.name.as_str()) && !used(&link.name)) {
        // The near end of a dying namespace goes by itself.
        if link.kind != Kind::Veth || open.links.peer_lives(link).await {
            unknown.push(format!("link:{}", link.name));
        }
    }
    let tables = open.firewall.networks().await?.into_iter();
    unknown.extend(tables.filter(|name| !networks.contains(name)).map(|name| format!("table:{name}")));
    Ok(Reconciled { missing, unknown })
}

pub(crate) async fn collect(open: &Open, unknown: &[String]) -> Result<(), DriverError> {
    for item in unknown {
        match item.split_once(':') {
            Some(("network", name)) => network::delete(open, name).await?,
            Some(("nic", object)) => {
                let Some((instance, device)) = object.split_once('/') else { continue };
                nic::detach(open, instance, device).await?;
            }
            Some(("link", name)) => {
                let link = open.links.find(name).await?.filter(|link| link.alias == open.state.mark());
                if let Some(link) = link {
                    open.links.delete(&link).await?;
                }
            }
            Some(("table", name)) => open.firewall.remove_network(name).await?,
            _ => tracing::warn!(item, "nothing that `reconcile` ever named"),
        }
    }
    Ok(())
}
