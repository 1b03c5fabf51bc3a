//! Control messages of commands and consoles, packets of the keeper, and `/etc/subuid`.

use hulld::fuzzing::{control, keeper_packet, largest_range};

/// One packet, read as each of them.
pub fn controls(data: &[u8]) {
    let _ = control(data);
    if let Some(again) = keeper_packet(data) {
        assert_eq!(again, data, "a packet that is understood is understood whole");
    }
    let range = std::str::from_utf8(data).ok().and_then(largest_range);
    assert!(range.is_none_or(|(_, count)| count >= 65_536));
}
