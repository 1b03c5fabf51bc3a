//! The interfaces inside a container, asked through a socket that is opened there each time: a kept one would keep the
//! network namespace alive after the container, until the kernel has freed the socket (tens of milliseconds).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};

use hull_plugin::network::{Address, Counters, InterfaceState};
use hull_sys::netlink::{attributes, dump};
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

const LINK_HEADER: usize = 16; // linux/rtnetlink.h struct ifinfomsg
const ADDRESS_HEADER: usize = 8; // linux/if_addr.h struct ifaddrmsg

/// All interfaces in the network namespace of a process with their addresses, in the kernel's order.
pub(crate) fn interfaces_of(process: BorrowedFd) -> nix::Result<Vec<InterfaceState>> {
    let links = dump(open_in(process)?, libc::RTM_GETLINK, 1)?;
    let addresses = dump(open_in(process)?, libc::RTM_GETADDR, 2)?;
    let mut found: BTreeMap<u32, InterfaceState> = links.iter().filter_map(|link| interface(link)).collect();
    for (index, address) in addresses.iter().filter_map(|message| address(message)) {
        if let Some(interface) = found.get_mut(&index) {
            interface.addresses.push(address);
        }
    }
    Ok(found.into_values().collect())
}

fn open_in(process: BorrowedFd) -> nix::Result<OwnedFd> {
    let own = open("/proc/thread-self/ns/net", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    setns(process, CloneFlags::CLONE_NEWNET)?;
    let socket = hull_sys::netlink::open();
    if setns(&own, CloneFlags::CLONE_NEWNET).is_err() {
        std::process::abort(); // nothing may run in a container's network by mistake; Hull starts the driver again
    }
    socket
}

fn interface(message: &[u8]) -> Option<(u32, InterfaceState)> {
    let flags = word(message.get(8..)?)?;
    let mut state = InterfaceState {
        up: flags & libc::IFF_UP.cast_unsigned() != 0,
        kind: if flags & libc::IFF_LOOPBACK.cast_unsigned() != 0 { "loopback" } else { "broadcast" }.into(),
        ..InterfaceState::default()
    };
    for (kind, value) in attributes(message.get(LINK_HEADER..)?) {
        match kind {
            libc::IFLA_IFNAME => state.name = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
            libc::IFLA_MTU => state.mtu = word(value)?,
            libc::IFLA_ADDRESS if state.kind != "loopback" => {
                state.hwaddr = value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
            }
            libc::IFLA_STATS64 => state.counters = counters(value),
            _ => {}
        }
    }
    Some((word(message.get(4..)?)?, state))
}

/// linux/if_link.h struct rtnl_link_stats64, in order.
fn counters(value: &[u8]) -> Counters {
    let number = |at: usize| {
        let bytes = value.get(at * 8..).and_then(<[u8]>::first_chunk::<8>);
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    Counters {
        packets_received: number(0),
        packets_sent: number(1),
        bytes_received: number(2),
        bytes_sent: number(3),
        errors_received: number(4),
        errors_sent: number(5),
        packets_dropped_inbound: number(6),
        packets_dropped_outbound: number(7),
    }
}

fn address(message: &[u8]) -> Option<(u32, Address)> {
    let [family, prefix, _, scope] = *message.first_chunk::<4>()?;
    let index = word(message.get(4..)?)?;
    let list = attributes(message.get(ADDRESS_HEADER..)?);
    // On point-to-point links `IFA_ADDRESS` is the other end.
    let value = |wanted| list.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    let bytes = value(libc::IFA_LOCAL).or_else(|| value(libc::IFA_ADDRESS))?;
    let (family, text) = match i32::from(family) {
        libc::AF_INET => ("inet", Ipv4Addr::from(*bytes.first_chunk::<4>()?).to_string()),
        libc::AF_INET6 => ("inet6", Ipv6Addr::from(*bytes.first_chunk::<16>()?).to_string()),
        _ => return None,
    };
    let scope = match scope {
        libc::RT_SCOPE_LINK => "link",
        libc::RT_SCOPE_HOST => "local",
        _ => "global",
    };
    let address = Address { family: family.into(), address: text, netmask: prefix.to_string(), scope: scope.into() };
    Some((index, address))
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes))
}
