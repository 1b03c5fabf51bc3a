//! Making veths with their far end straight inside a namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{LinkIfb, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::error::LinkError;
use super::links::Links;
use crate::config::Mac;

/// A veth to be: the near end up and in a bridge, the far end down in `namespace`.
#[derive(Clone, Debug)]
pub(crate) struct NewVeth<'a> {
    pub(crate) near: &'a str,
    pub(crate) far: &'a str,
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) mac: Mac,
    pub(crate) mtu: u32,
    pub(crate) queue_length: Option<u32>,
}

impl Links {
    pub(crate) async fn add_veth(&self, veth: &NewVeth<'_>) -> Result<(), LinkError> {
        let mut far = LinkMessageBuilder::<LinkUnspec>::new().name(veth.far).mtu(veth.mtu).address(veth.mac.0.to_vec());
        let mut near = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth).name(veth.near).mtu(veth.mtu);
        if let Some(length) = veth.queue_length {
            (far, near) = (far.txqueuelen(length), near.txqueuelen(length));
        }
        let far = far.setns_by_fd(veth.namespace.as_raw_fd()).build();
        let message = near.set_info_data(InfoData::Veth(InfoVeth::Peer(far))).build();
        let made = self.handle.link().add(message).execute().await;
        made.map_err(|error| LinkError::new(format!("make `{}` with `{}` in the instance", veth.near, veth.far), error))
    }

    /// A device that traffic is led through to be shaped.
    pub(crate) async fn add_ifb(&self, name: &str) -> Result<(), LinkError> {
        let made = self.handle.link().add(LinkIfb::new(name).build()).execute().await;
        made.map_err(|error| LinkError::new(format!("make interface `{name}`"), error))
    }
}
