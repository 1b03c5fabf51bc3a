//! Making and changing bridges, and putting interfaces into them.

use rtnetlink::{LinkBridge, LinkBridgePort, LinkUnspec};

use super::error::LinkError;
use super::links::Links;
use super::read::Found;
use crate::config::Mac;

/// A bridge to be.
#[derive(Clone, Debug)]
pub(crate) struct NewBridge<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: Mac,
}

impl Links {
    /// Makes a bridge, down. It learns at once: no loop can arise from veths.
    pub(crate) async fn add_bridge(&self, bridge: &NewBridge<'_>) -> Result<(), LinkError> {
        let message = LinkBridge::new(bridge.name).down().address(bridge.mac.0.to_vec()).forward_delay(0);
        let made = self.handle.link().add(message.build()).execute().await;
        made.map_err(|error| LinkError::new(format!("make bridge `{}`", bridge.name), error))
    }

    /// Marks an interface as this Hull's.
    pub(crate) async fn mark(&self, link: &Found, alias: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(link.index).alias(alias).build();
        self.set(message, link, "mark").await
    }

    pub(crate) async fn set_up(&self, link: &Found) -> Result<(), LinkError> {
        self.set(LinkUnspec::new_with_index(link.index).up().build(), link, "start").await
    }

    pub(crate) async fn set_mtu(&self, link: &Found, mtu: u32) -> Result<(), LinkError> {
        self.set(LinkUnspec::new_with_index(link.index).mtu(mtu).build(), link, "set the MTU of").await
    }

    pub(crate) async fn set_mac(&self, link: &Found, mac: Mac) -> Result<(), LinkError> {
        self.set(LinkUnspec::new_with_index(link.index).address(mac.0.to_vec()).build(), link, "set the MAC of").await
    }

    /// Puts an interface into a bridge (0: into none) and starts it.
    pub(crate) async fn set_controller(&self, link: &Found, bridge: u32) -> Result<(), LinkError> {
        self.set(LinkUnspec::new_with_index(link.index).controller(bridge).up().build(), link, "connect").await
    }

    /// Marks an interface, puts it into a bridge and starts it, all at once.
    pub(crate) async fn plug(&self, name: &str, bridge: &Found, alias: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_name(name).alias(alias).controller(bridge.index).up().build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| LinkError::new(format!("connect `{name}` to bridge `{}`", bridge.name), error))
    }

    /// No traffic between this port and other isolated ones.
    pub(crate) async fn isolate(&self, link: &Found) -> Result<(), LinkError> {
        let message = LinkBridgePort::new(link.index).isolated(true).build();
        let done = self.handle.link().set_port(message).execute().await;
        done.map_err(|error| LinkError::new(format!("isolate interface `{}`", link.name), error))
    }

    /// Deletes an interface; one that is gone is no error.
    pub(crate) async fn delete(&self, link: &Found) -> Result<(), LinkError> {
        let done = self.handle.link().del(link.index).execute().await;
        match done.map_err(|error| LinkError::new(format!("delete interface `{}`", link.name), error)) {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    async fn set(
        &self,
        message: rtnetlink::packet_route::link::LinkMessage,
        link: &Found,
        verb: &str,
    ) -> Result<(), LinkError> {
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|error| LinkError::new(format!("{verb} interface `{}`", link.name), error))
    }
}
