//! Looking: what interfaces there are.

use futures::TryStreamExt;
use hull_plugin::network::Counters;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, Stats64,
};

use super::error::LinkError;
use super::links::Links;
use crate::config::Mac;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
    pub(crate) kind: Kind,
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    /// The bridge it is in.
    pub(crate) controller: Option<u32>,
    /// The namespace of a veth's other end, as this namespace numbers it; none once that namespace is dying.
    pub(crate) peer_namespace: Option<i32>,
    pub(crate) counters: Counters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Loopback,
    Physical,
    Bridge,
    Veth,
    Vlan,
    Bond,
    Ifb,
    #[default]
    Other,
}

impl Kind {
    /// LXD's word in `network list`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Physical => "physical",
            Self::Bridge => "bridge",
            Self::Vlan => "vlan",
            Self::Bond => "bond",
            Self::Veth | Self::Ifb | Self::Other => "unknown",
        }
    }
}

impl Links {
    pub(crate) async fn all(&self) -> Result<Vec<Found>, LinkError> {
        let listed = self.list(|handle| handle.link().get().execute().map_ok(found)).await;
        listed.map_err(|error| LinkError::new("list the interfaces", error))
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Option<Found>, LinkError> {
        let mut answer = std::pin::pin!(self.handle.link().get().match_name(name).execute());
        match answer.try_next().await.map_err(|error| LinkError::new(format!("look for interface `{name}`"), error)) {
            Ok(message) => Ok(message.map(found)),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the namespace of a veth's other end still lives: a dying one can no longer be asked anything.
    pub(crate) async fn peer_lives(&self, veth: &Found) -> bool {
        let Some(namespace) = veth.peer_namespace else { return false };
        let links = self.list(|handle| {
            let mut request = handle.link().get();
            request.message_mut().attributes.push(LinkAttribute::IfNetnsId(namespace));
            request.execute()
        });
        links.await.is_ok_and(|links| !links.is_empty())
    }
}

fn found(message: LinkMessage) -> Found {
    let up = message.header.flags.contains(LinkFlags::Up);
    let mut link = Found { index: message.header.index, up, ..Found::default() };
    let mut kind = None;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Controller(index) => link.controller = Some(index),
            LinkAttribute::LinkNetNsId(id) if id >= 0 => link.peer_namespace = Some(id),
            LinkAttribute::Address(octets) => link.mac = <[u8; 6]>::try_from(octets).ok().map(Mac),
            LinkAttribute::Stats64(stats) => link.counters = counters(&stats),
            LinkAttribute::LinkInfo(infos) => {
                kind =
                    infos.into_iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
            }
            _ => {}
        }
    }
    let loopback = message.header.flags.contains(LinkFlags::Loopback);
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    link.kind = match kind {
        _ if loopback => Kind::Loopback,
        None if ethernet => Kind::Physical,
        Some(InfoKind::Bridge) => Kind::Bridge,
        Some(InfoKind::Veth) => Kind::Veth,
        Some(InfoKind::Vlan) => Kind::Vlan,
        Some(InfoKind::Bond) => Kind::Bond,
        Some(InfoKind::Ifb) => Kind::Ifb,
        _ => Kind::Other,
    };
    link
}

fn counters(stats: &Stats64) -> Counters {
    Counters {
        bytes_received: stats.rx_bytes,
        bytes_sent: stats.tx_bytes,
        packets_received: stats.rx_packets,
        packets_sent: stats.tx_packets,
        errors_received: stats.rx_errors,
        errors_sent: stats.tx_errors,
        packets_dropped_inbound: stats.rx_dropped,
        packets_dropped_outbound: stats.tx_dropped,
    }
}
