//! Addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hull_plugin::network::Address;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope};

use super::error::LinkError;
use super::links::Links;
use super::read::Found;

impl Links {
    /// All addresses of all interfaces, with the interface's index.
    pub(crate) async fn addresses(&self) -> Result<Vec<(u32, IpNet, Address)>, LinkError> {
        let listed = self.list(|handle| handle.address().get().execute()).await;
        let messages = listed.map_err(|error| LinkError::new("list the addresses", error))?;
        Ok(messages
            .iter()
            .filter_map(|message| Some((message.header.index, net(message)?, described(message)?)))
            .collect())
    }

    /// Gives an interface exactly these addresses; link-local ones stay.
    pub(crate) async fn set_addresses(&self, link: &Found, wanted: &[IpNet]) -> Result<(), LinkError> {
        let listed = self.list(|handle| handle.address().get().set_link_index_filter(link.index).execute()).await;
        let present =
            listed.map_err(|error| LinkError::new(format!("list the addresses of `{}`", link.name), error))?;
        let mut missing = wanted.to_vec();
        for message in present {
            let Some(address) = net(&message) else { continue };
            if missing.contains(&address) {
                missing.retain(|other| *other != address);
            } else if message.header.scope != AddressScope::Link {
                let done = self.handle.address().del(message).execute().await;
                done.map_err(|error| LinkError::new(format!("remove address {address} of `{}`", link.name), error))?;
            }
        }
        for address in missing {
            let done = self.handle.address().add(link.index, address.addr(), address.prefix_len()).execute().await;
            done.map_err(|error| LinkError::new(format!("give `{}` the address {address}", link.name), error))?;
        }
        Ok(())
    }

    /// The destinations the host has routes for, with the outgoing interface's index. Not the default routes.
    pub(crate) async fn routes(&self) -> Result<Vec<(Option<u32>, IpNet)>, LinkError> {
        Ok(self.route_messages().await?.iter().filter_map(destination).collect())
    }

    /// Gives an interface exactly these static routes.
    pub(crate) async fn set_routes(&self, link: &Found, wanted: &[IpNet]) -> Result<(), LinkError> {
        for message in self.route_messages().await? {
            let ours = message.header.protocol == RouteProtocol::Static;
            match destination(&message) {
                Some((Some(index), net)) if ours && index == link.index && !wanted.contains(&net) => {
                    let done = self.handle.route().del(message).execute().await;
                    done.map_err(|error| LinkError::new(format!("remove the route to {net}"), error))?;
                }
                _ => {}
            }
        }
        for net in wanted {
            self.add_route(link, *net).await?;
        }
        Ok(())
    }

    /// A static route out of an interface, in place of an equal one.
    pub(crate) async fn add_route(&self, link: &Found, net: IpNet) -> Result<(), LinkError> {
        let builder = RouteMessageBuilder::<IpAddr>::new().destination_prefix(net.network(), net.prefix_len());
        let failed = |why: std::io::Error| LinkError::system(format!("add a route to {net} by `{}`", link.name), why);
        let builder = builder.map_err(|error| failed(std::io::Error::other(error)))?;
        let message =
            builder.output_interface(link.index).protocol(RouteProtocol::Static).scope(RouteScope::Link).build();
        let done = self.handle.route().add(message).replace().execute().await;
        done.map_err(|error| LinkError::new(format!("add a route to {net} by `{}`", link.name), error))
    }
}

impl Links {
    /// Removes a static route out of an interface; one that is gone is no error.
    pub(crate) async fn remove_route(&self, link: &Found, net: IpNet) -> Result<(), LinkError> {
        for message in self.route_messages().await? {
            let ours = message.header.protocol == RouteProtocol::Static;
            if ours && destination(&message) == Some((Some(link.index), net.trunc())) {
                let done = self.handle.route().del(message).execute().await;
                done.map_err(|error| LinkError::new(format!("remove the route to {net}"), error))?;
            }
        }
        Ok(())
    }

    async fn route_messages(&self) -> Result<Vec<RouteMessage>, LinkError> {
        let mut all = Vec::new();
        for question in [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()]
        {
            let listed = self.list(|handle| handle.route().get(question).execute()).await;
            all.extend(listed.map_err(|error| LinkError::new("list the routes", error))?);
        }
        Ok(all)
    }
}

fn net(message: &AddressMessage) -> Option<IpNet> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    });
    IpNet::new(address?, message.header.prefix_len).ok()
}

fn described(message: &AddressMessage) -> Option<Address> {
    let net = net(message)?;
    let scope = match message.header.scope {
        AddressScope::Link => "link",
        AddressScope::Host => "local",
        _ => "global",
    };
    Some(Address {
        family: if net.addr().is_ipv4() { "inet" } else { "inet6" }.into(),
        address: net.addr().to_string(),
        netmask: net.prefix_len().to_string(),
        scope: scope.into(),
    })
}

fn destination(message: &RouteMessage) -> Option<(Option<u32>, IpNet)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let interface = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let length = message.header.destination_prefix_length;
    let net = IpNet::new(address, length).ok().filter(|_| length > 0)?;
    let special = address.is_multicast() || address.is_loopback();
    (!special).then_some((interface, net.trunc()))
}
