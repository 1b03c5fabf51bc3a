//! The machine's memory, as a whole and by node, from procfs and sysfs.

use std::path::Path;

use serde_json::{Value, json};

use super::resources::{entries, info_value, read, text};

/// `system` is `/sys/devices/system`, `info` is `/proc/meminfo`.
pub(super) fn memory(system: &Path, info: &str) -> Value {
    let bytes = |key: &str| kibibytes(&info_value(info, key));
    let count = |key: &str| info_value(info, key).parse::<u64>().unwrap_or(0);
    let (pages, free, size) = (count("HugePages_Total"), count("HugePages_Free"), bytes("Hugepagesize"));
    // What the kernel keeps for itself belongs to the machine, too.
    let total = installed(&system.join("memory")).unwrap_or_else(|| bytes("MemTotal"));
    json!({
        "nodes": nodes(&system.join("node"), total, size),
        "hugepages_total": pages * size, "hugepages_used": pages.saturating_sub(free) * size, "hugepages_size": size,
        "used": total.saturating_sub(bytes("MemAvailable")), "total": total,
    })
}

/// The blocks of memory that are in use.
fn installed(directory: &Path) -> Option<u64> {
    let size = u64::from_str_radix(&text(&directory.join("block_size_bytes")), 16).ok()?;
    let online = |name: &String| text(&directory.join(name).join("state")) == "online";
    let blocks = entries(directory).into_iter().filter(|name| name.starts_with("memory")).filter(online).count();
    (blocks > 0).then_some(blocks as u64 * size)
}

fn nodes(directory: &Path, total: u64, hugepage: u64) -> Vec<Value> {
    let names = entries(directory);
    let ids = names.iter().filter_map(|name| name.strip_prefix("node")?.parse::<u64>().ok());
    let ids: Vec<u64> = ids.collect();
    let node = |id: &u64| {
        let info = read(&directory.join(format!("node{id}/meminfo")));
        // `Node 0 MemTotal:  24 kB`
        let info = info.replace(&format!("Node {id} "), "");
        let count = |key: &str| info_value(&info, key).parse::<u64>().unwrap_or(0);
        let (own, free) = (kibibytes(&info_value(&info, "MemTotal")), kibibytes(&info_value(&info, "MemFree")));
        let whole = if ids.len() == 1 { total } else { own };
        json!({
            "numa_node": id,
            "hugepages_used": count("HugePages_Total").saturating_sub(count("HugePages_Free")) * hugepage,
            "hugepages_total": count("HugePages_Total") * hugepage,
            "used": whole.saturating_sub(free), "total": whole,
        })
    };
    ids.iter().map(node).collect()
}

fn kibibytes(value: &str) -> u64 {
    value.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_memory_blocks_has_what_the_kernel_counts() {
        let info = "MemTotal:       24 kB\nMemAvailable:  4 kB\nHugePages_Total: 3\nHugePages_Free: 1\nHugepagesize: 2048 kB\n";
        let found = memory(Path::new("/nonexistent"), info);
        assert_eq!((&found["total"], &found["used"]), (&json!(24 * 1024), &json!(20 * 1024)));
        assert_eq!(found["hugepages_used"], json!(2 * 2048 * 1024));
    }
}
