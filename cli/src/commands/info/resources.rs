//! `hull info --resources`: what the machine has, in the words of LXD's client.

use crate::output::iec;
use serde_json::Value;

pub(super) fn described(resources: &Value) -> String {
    let mut page = Page(String::new());
    processors(&mut page, &resources["cpu"]);
    memory(&mut page, &resources["memory"]);
    page.several("GPU", "GPUs", "Card", &resources["gpu"]["cards"], gpu);
    page.several("NIC", "NICs", "Card", &resources["network"]["cards"], nic);
    page.several("Disk", "Disks", "Disk", &resources["storage"]["disks"], disk);
    page.several("USB device", "USB devices", "Device", &resources["usb"]["devices"], usb);
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// `title: value`, unless there is none.
    fn fact(&mut self, indent: usize, title: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => self.line(indent, &format!("{title}: {text}")),
            other => self.line(indent, &format!("{title}: {other}")),
        }
    }

    /// A name with what identifies it.
    fn named(&mut self, indent: usize, title: &str, name: &Value, id: &Value) {
        if !text(name).is_empty() {
            self.line(indent, &format!("{title}: {} ({})", text(name), text(id)));
        }
    }

    /// One thing below its title, several each below its number.
    fn several(&mut self, one: &str, many: &str, each: &str, list: &Value, show: fn(&mut Self, usize, &Value)) {
        match list.as_array().map(Vec::as_slice) {
            None | Some([]) => {}
            Some([only]) => {
                self.line(0, &format!("\n{one}:"));
                show(self, 2, only);
            }
            Some(all) => {
                self.line(0, &format!("\n{many}:"));
                for (number, thing) in all.iter().enumerate() {
                    self.line(2, &format!("{each} {number}:"));
                    show(self, 4, thing);
                }
            }
        }
    }
}

fn processors(page: &mut Page, cpu: &Value) {
    let architecture = text(&cpu["architecture"]);
    match cpu["sockets"].as_array().map(Vec::as_slice) {
        None | Some([]) => {}
        Some([only]) => {
            page.line(0, &format!("CPU ({architecture}):"));
            socket(page, 2, only);
        }
        Some(all) => {
            page.line(0, &format!("CPUs ({architecture}):"));
            for one in all {
                page.line(2, &format!("Socket {}:", one["socket"]));
                socket(page, 4, one);
            }
        }
    }
}

fn socket(page: &mut Page, indent: usize, socket: &Value) {
    page.fact(indent, "Vendor", &socket["vendor"]);
    page.fact(indent, "Name", &socket["name"]);
    let caches = list(&socket["cache"]);
    if !caches.is_empty() {
        page.line(indent, "Caches:");
    }
    for cache in caches {
        let (level, kind, size) = (&cache["level"], text(&cache["type"]), whole(number(&cache["size"])));
        page.line(indent + 2, &format!("- Level {level} (type: {kind}): {size}"));
    }
    page.line(indent, "Cores:");
    for core in list(&socket["cores"]) {
        page.line(indent + 2, &format!("- Core {}", core["core"]));
        page.line(indent + 4, &format!("Frequency: {}Mhz", number(&core["frequency"])));
        page.line(indent + 4, "Threads:");
        for thread in list(&core["threads"]) {
            let (number, id, online, node) =
                (&thread["thread"], &thread["id"], &thread["online"], &thread["numa_node"]);
            page.line(indent + 6, &format!("- {number} (id: {id}, online: {online}, NUMA node: {node})"));
        }
    }
    let (now, least, most) =
        (number(&socket["frequency"]), number(&socket["frequency_minimum"]), number(&socket["frequency_turbo"]));
    if now > 0 && least > 0 && most > 0 {
        page.line(indent, &format!("Frequency: {now}Mhz (min: {least}Mhz, max: {most}Mhz)"));
    } else if now > 0 {
        page.line(indent, &format!("Frequency: {now}Mhz"));
    }
}

fn memory(page: &mut Page, memory: &Value) {
    page.line(0, "\nMemory:");
    huge_pages(page, 2, memory, number(&memory["hugepages_size"]));
    let nodes = list(&memory["nodes"]);
    if nodes.len() > 1 {
        page.line(2, "NUMA nodes:");
        for node in nodes {
            page.line(4, &format!("Node {}:", node["numa_node"]));
            huge_pages(page, 6, node, number(&memory["hugepages_size"]));
            amounts(page, 6, number(&node["used"]), number(&node["total"]));
        }
    }
    amounts(page, 2, number(&memory["used"]), number(&memory["total"]));
}

fn huge_pages(page: &mut Page, indent: usize, of: &Value, size: i64) {
    let (used, total) = (number(&of["hugepages_used"]), number(&of["hugepages_total"]));
    if total > 0 {
        page.line(indent, "Hugepages:");
        amounts(page, indent + 2, used.saturating_mul(size), total.saturating_mul(size));
    }
}

fn amounts(page: &mut Page, indent: usize, used: i64, total: i64) {
    page.line(indent, &format!("Free: {}", iec(total.saturating_sub(used))));
    page.line(indent, &format!("Used: {}", iec(used)));
    page.line(indent, &format!("Total: {}", iec(total)));
}

fn hardware(page: &mut Page, indent: usize, card: &Value) {
    page.fact(indent, "NUMA node", &card["numa_node"]);
    page.named(indent, "Vendor", &card["vendor"], &card["vendor_id"]);
    page.named(indent, "Product", &card["product"], &card["product_id"]);
    page.fact(indent, "PCI address", &card["pci_address"]);
    page.named(indent, "Driver", &card["driver"], &card["driver_version"]);
}

fn gpu(page: &mut Page, indent: usize, card: &Value) {
    hardware(page, indent, card);
    let drm = &card["drm"];
    if drm.is_object() {
        page.line(indent, "DRM:");
        page.fact(indent + 2, "ID", &drm["id"]);
        for (title, name, device) in [
            ("Card", "card_name", "card_device"),
            ("Control", "control_name", "control_device"),
            ("Render", "render_name", "render_device"),
        ] {
            page.named(indent + 2, title, &drm[name], &drm[device]);
        }
    }
}

fn nic(page: &mut Page, indent: usize, card: &Value) {
    hardware(page, indent, card);
    let ports = list(&card["ports"]);
    if !ports.is_empty() {
        page.line(indent, "Ports:");
    }
    for port in ports {
        page.line(indent + 2, &format!("- Port {} ({})", port["port"], text(&port["protocol"])));
        page.fact(indent + 4, "ID", &port["id"]);
        page.fact(indent + 4, "Address", &port["address"]);
        for (title, key) in [("Supported modes", "supported_modes"), ("Supported ports", "supported_ports")] {
            let words: Vec<&str> = list(&port[key]).iter().map(text).collect();
            page.fact(indent + 4, title, &Value::String(words.join(", ")));
        }
        page.fact(indent + 4, "Port type", &port["port_type"]);
        page.fact(indent + 4, "Transceiver type", &port["transceiver_type"]);
        page.fact(indent + 4, "Auto negotiation", &port["auto_negotiation"]);
        page.fact(indent + 4, "Link detected", &port["link_detected"]);
        if number(&port["link_speed"]) > 0 {
            let speed = format!("{}Mbit/s ({} duplex)", port["link_speed"], text(&port["link_duplex"]));
            page.fact(indent + 4, "Link speed", &Value::String(speed));
        }
    }
}

fn disk(page: &mut Page, indent: usize, disk: &Value) {
    for (title, key) in
        [("NUMA node", "numa_node"), ("ID", "id"), ("Device", "device"), ("Model", "model"), ("Type", "type")]
    {
        page.fact(indent, title, &disk[key]);
    }
    page.line(indent, &format!("Size: {}", iec(number(&disk["size"]))));
    for (title, key) in [("WWN", "wwn"), ("Read-Only", "read_only"), ("Removable", "removable")] {
        page.fact(indent, title, &disk[key]);
    }
    let partitions = list(&disk["partitions"]);
    if !partitions.is_empty() {
        page.line(indent, "Partitions:");
    }
    for partition in partitions {
        page.line(indent + 2, &format!("- Partition {}", partition["partition"]));
        for (title, key) in [("ID", "id"), ("Device", "device"), ("Read-Only", "read_only")] {
            page.fact(indent + 4, title, &partition[key]);
        }
        page.line(indent + 4, &format!("Size: {}", iec(number(&partition["size"]))));
    }
}

fn usb(page: &mut Page, indent: usize, device: &Value) {
    page.named(indent, "Vendor", &device["vendor"], &device["vendor_id"]);
    page.named(indent, "Product", &device["product"], &device["product_id"]);
    page.fact(indent, "Bus Address", &device["bus_address"]);
    page.fact(indent, "Device Address", &device["device_address"]);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// In the largest unit that leaves at least one, without decimals.
fn whole(bytes: i64) -> String {
    let text = iec(bytes);
    let digits = text.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    format!("{:.0}{unit}", amount.parse::<f64>().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn several_of_a_kind_are_numbered_and_what_is_empty_is_left_out() {
        let disk = |id: &str| json!({"id": id, "numa_node": 0, "size": 1 << 30, "model": "", "read_only": false});
        let resources = json!({
            "cpu": {"architecture": "x86_64", "sockets": []},
            "memory": {"used": 1 << 30, "total": 3_i64 << 30},
            "gpu": {"cards": []},
            "storage": {"disks": [disk("a"), disk("b")]},
        });
        assert_eq!(
            described(&resources),
            "\nMemory:\n  Free: 2.00GiB\n  Used: 1.00GiB\n  Total: 3.00GiB\n\nDisks:\n  Disk 0:\n    NUMA node: 0\n    ID: a\n    \
             Size: 1.00GiB\n    Read-Only: false\n  Disk 1:\n    NUMA node: 0\n    ID: b\n    Size: 1.00GiB\n    Read-Only: false\n"
        );
        assert_eq!((whole(49_152), whole(480 << 20)), ("48KiB".to_owned(), "480MiB".to_owned()));
    }
}
