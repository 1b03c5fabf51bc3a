//! Connecting an instance.
//!
//! ```text
//! check ─ record ─ guard ─ veth ─ limits ─ bridge ─ routes ─ DHCP ─▶ attached
//!            ▲ any failure: all of it is taken away again │
//! ```
//! The guard stands before the first frame can pass.

use std::os::fd::AsFd;

use hull_plugin::network::{Attachment, NicSpec, NicTarget};
use hull_plugin::{Code, DriverError};

use super::address::{self, Fixed};
use super::detach;
use super::hosts::set_host;
use crate::config::{Network, Nic, Parent, Version};
use crate::driver::Open;
use crate::firewall::Guard;
use crate::handle;
use crate::link::{Found, Kind, LinkError, NewVeth};
use crate::state::NicRecord;
use crate::sysctl;

pub(crate) async fn attach(open: &Open, spec: &NicSpec, target: NicTarget) -> Result<Attachment, DriverError> {
    let nic = Nic::parse(spec)?;
    let (network, bridge) = parent(open, &nic).await?;
    if let Some(network) = &network {
        nic.check_within(network, spec.device.as_str())?;
    }
    let object = format!("{}/{}", spec.instance, spec.device);
    refuse_taken_name(open, &nic, spec).await?;
    if let Some(older) = open.state.nic(spec.instance.as_str(), spec.device.as_str()) {
        // An earlier call, or an instance that died while nobody looked.
        detach::forget(open, &older, detach::Near::Delete).await?;
    }
    let fixed = address::choose(open, &nic, network.as_ref(), &object)?;
    let record = record(spec, &nic, &bridge, fixed, &target);
    open.state.keep_nic(record.clone())?;
    match connect(open, &nic, &record, (network.as_ref(), &bridge), target).await {
        Ok(()) => Ok(Attachment { handle: handle::nic(&record.host_interface), host_name: record.host_interface }),
        Err(error) => match detach::forget(open, &record, detach::Near::Delete).await {
            Ok(()) => Err(error),
            Err(also) => Err(error.because(format!("and going back failed: {also}"))),
        },
    }
}

async fn parent(open: &Open, nic: &Nic) -> Result<(Option<Network>, Found), DriverError> {
    match &nic.parent {
        Parent::Managed(name) => {
            let missing = || DriverError::not_found(format!("there is no network `{name}`"));
            let record = open.state.network(name).ok_or_else(missing)?;
            let down = || DriverError::new(Code::Unavailable, format!("the network `{name}` is not up"));
            let bridge = open.links.find(name).await?.filter(|link| link.up && link.kind == Kind::Bridge);
            Ok((Some(Network::parse(name, &record.filled)?), bridge.ok_or_else(down)?))
        }
        Parent::Foreign(name) => {
            let missing = || DriverError::not_found(format!("Parent device {name:?} doesn't exist"));
            let bridge = open.links.find(name).await?.ok_or_else(missing)?;
            if bridge.kind != Kind::Bridge {
                return Err(DriverError::invalid("parent", format!("Parent device {name:?} is not a bridge")));
            }
            Ok((None, bridge))
        }
    }
}

/// A name that the user chose must be free, or this NIC's own from before.
async fn refuse_taken_name(open: &Open, nic: &Nic, spec: &NicSpec) -> Result<(), DriverError> {
    let Some(name) = &nic.host_interface else { return Ok(()) };
    let older = open.state.nic(spec.instance.as_str(), spec.device.as_str());
    if older.is_some_and(|older| older.host_interface == *name) || open.links.find(name).await?.is_none() {
        return Ok(());
    }
    Err(DriverError::new(Code::AlreadyExists, format!("there is an interface `{name}` already")))
}

fn record(spec: &NicSpec, nic: &Nic, bridge: &Found, fixed: Fixed, target: &NicTarget) -> NicRecord {
    let NicTarget::Namespace(namespace) = target;
    let network = match &nic.parent {
        Parent::Managed(name) => Some(name.clone()),
        Parent::Foreign(_) => None,
    };
    // Never the name of an interface that is still dying.
    let random = rand::random::<u32>();
    NicRecord {
        instance: spec.instance.as_str().into(),
        device: spec.device.as_str().into(),
        network,
        host_name: spec.host_name.clone(),
        dns_name: nic.dns_name.clone(),
        host_interface: nic.host_interface.clone().unwrap_or_else(|| format!("veth{random:08x}")),
        bridge: bridge.name.clone(),
        mac: nic.mac,
        ipv4: fixed.ipv4,
        ipv6: fixed.ipv6,
        routes: nic.routes.clone(),
        guarded: nic.filtered(),
        shaper: nic.egress.map(|_| format!("ifb{random:08x}")),
        namespace: hull_sys::netlink::namespace_id(namespace.as_fd()).ok(), // only spares waiting when it is gone
    }
}

async fn connect(
    open: &Open,
    nic: &Nic,
    record: &NicRecord,
    (network, bridge): (Option<&Network>, &Found),
    target: NicTarget,
) -> Result<(), DriverError> {
    if record.guarded {
        open.firewall.set_guard(&guard(nic, record)).await?;
    }
    make_veth(open, nic, record, bridge, target).await?;
    if nic.ingress.is_some() || nic.egress.is_some() || nic.isolated {
        let near = found(open, &record.host_interface).await?;
        limit(open, nic, record, &near).await?;
        open.links.plug(&record.host_interface, bridge, &open.state.mark()).await?;
        if nic.isolated {
            open.links.isolate(&near).await?;
        }
    } else {
        open.links.plug(&record.host_interface, bridge, &open.state.mark()).await?;
    }
    for net in &nic.routes {
        open.links.add_route(bridge, *net).await?;
    }
    match network {
        Some(network) => set_host(open, network, record).await,
        None => Ok(()),
    }
}

async fn make_veth(
    open: &Open,
    nic: &Nic,
    record: &NicRecord,
    bridge: &Found,
    target: NicTarget,
) -> Result<(), DriverError> {
    let NicTarget::Namespace(namespace) = target;
    let name = record.host_interface.as_str();
    let veth = NewVeth {
        near: name,
        far: &nic.name,
        namespace: namespace.as_fd(),
        mac: nic.mac,
        mtu: nic.mtu.unwrap_or(bridge.mtu),
        queue_length: nic.queue_length,
    };
    open.links.add_veth(&veth).await?;
    // The bridge speaks for the host, its ports do not.
    Ok(sysctl::set_ipv6(name, "disable_ipv6", "1")?)
}

async fn found(open: &Open, name: &str) -> Result<Found, DriverError> {
    let gone = || DriverError::new(Code::Unavailable, format!("interface `{name}` vanished while it was being made"));
    open.links.find(name).await?.ok_or_else(gone)
}

async fn limit(open: &Open, nic: &Nic, record: &NicRecord, near: &Found) -> Result<(), DriverError> {
    if let Some(rate) = nic.ingress {
        open.links.limit(near, rate).await.map_err(|error| unlimited(error, "limits.ingress"))?;
    }
    let (Some(rate), Some(name)) = (nic.egress, &record.shaper) else { return Ok(()) };
    let key = "limits.egress";
    open.links.add_ifb(name).await.map_err(|error| unlimited(error, key))?;
    let shaper = found(open, name).await?;
    open.links.mark(&shaper, &open.state.mark()).await?;
    open.links.limit(&shaper, rate).await.map_err(|error| unlimited(error, key))?;
    open.links.set_up(&shaper).await?;
    open.links.lead_through(near, &shaper).await.map_err(|error| unlimited(error, key))
}

fn unlimited(error: LinkError, key: &str) -> DriverError {
    let missing = error.is_gone() || error.is(nix::errno::Errno::EOPNOTSUPP);
    let error = DriverError::from(error).context(format!("cannot apply `{key}`"));
    if missing {
        DriverError { code: Code::Unsupported, ..error }
            .hint("the kernel needs sch_tbf, and for limits.egress also ifb, sch_ingress, cls_u32 and act_mirred")
    } else {
        error
    }
}

fn guard(nic: &Nic, record: &NicRecord) -> Guard {
    let filter = |on: bool, version, fixed| on.then(|| address::allowed(nic, version, fixed));
    Guard {
        interface: record.host_interface.clone(),
        mac: nic.mac,
        ipv4: filter(nic.ipv4_filtering, Version::Four, record.ipv4),
        ipv6: filter(nic.ipv6_filtering, Version::Six, record.ipv6),
    }
}
