//! What a network carries.

use crate::client::url;
use crate::context::Context;
use crate::output::si;
use anyhow::Result;
use hull_api::NetworkState;
use std::fmt::Write as _;

/// Show addresses and counters of a network
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
}

impl Info {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let state: NetworkState = server.get(&url(&["networks", &name, "state"])).await?;
        cx.printer.text(described(&name, &state)?);
        Ok(())
    }
}

fn described(name: &str, state: &NetworkState) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "Name: {name}")?;
    writeln!(text, "MAC address: {}", state.hwaddr)?;
    writeln!(text, "MTU: {}\nState: {}\nType: {}", state.mtu, state.state, state.kind)?;
    if !state.addresses.is_empty() {
        writeln!(text, "\nIP addresses:")?;
        for address in &state.addresses {
            writeln!(text, "  {}\t{}/{} ({})", address.family, address.address, address.netmask, address.scope)?;
        }
    }
    let counters = &state.counters;
    writeln!(text, "\nNetwork usage:")?;
    writeln!(text, "  Bytes received: {}\n  Bytes sent: {}", si(counters.bytes_received), si(counters.bytes_sent))?;
    writeln!(text, "  Packets received: {}\n  Packets sent: {}", counters.packets_received, counters.packets_sent)?;
    if let Some(bond) = &state.bond {
        writeln!(text, "\nBond:\n  Mode: {}\n  Transmit policy: {}", bond.mode, bond.transmit_policy)?;
        writeln!(text, "  Up delay: {}\n  Down delay: {}", bond.up_delay, bond.down_delay)?;
        writeln!(text, "  MII Frequency: {}\n  MII state: {}", bond.mii_frequency, bond.mii_state)?;
        writeln!(text, "  Lower devices: {}", bond.lower_devices.join(", "))?;
    }
    if let Some(bridge) = &state.bridge {
        writeln!(text, "\nBridge:\n  ID: {}\n  STP: {}", bridge.id, bridge.stp)?;
        writeln!(text, "  Forward delay: {}\n  Default VLAN ID: {}", bridge.forward_delay, bridge.vlan_default)?;
        writeln!(
            text,
            "  VLAN filtering: {}\n  Upper devices: {}",
            bridge.vlan_filtering,
            bridge.upper_devices.join(", ")
        )?;
    }
    if let Some(vlan) = &state.vlan {
        writeln!(text, "\nVLAN:\n  Lower device: {}\n  VLAN ID: {}", vlan.lower_device, vlan.vid)?;
    }
    Ok(text)
}
