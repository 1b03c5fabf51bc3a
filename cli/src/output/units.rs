//! Sizes and dates in the forms that LXD's client prints.

use hull_api::Timestamp;

/// Binary units, as in `info`: `560.00KiB`.
pub(crate) fn iec(bytes: i64) -> String {
    scaled(bytes, 1024, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Decimal units, as in transfer rates: `7.13MB`.
pub(crate) fn si(bytes: i64) -> String {
    scaled(bytes, 1000, ["kB", "MB", "GB", "TB", "PB", "EB"])
}

fn scaled(bytes: i64, step: i64, names: [&str; 6]) -> String {
    if bytes < step {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / step as f64;
    for name in &names[..5] {
        if value < step as f64 {
            return format!("{value:.2}{name}");
        }
        value /= step as f64;
    }
    format!("{value:.2}{}", names[5])
}

/// `2026/11/22 03:22 UTC`, in the local time zone.
pub(crate) fn long_date(moment: Timestamp) -> String {
    local(moment, "%Y/%m/%d %H:%M")
}

/// `2026/11/22 03:22 UTC` or nothing for a moment that means "never".
pub(crate) fn day(moment: Timestamp) -> String {
    if moment.is_set() { long_date(moment) } else { String::new() }
}

fn local(moment: Timestamp, format: &str) -> String {
    let here = moment.with_timezone(&chrono::Local);
    format!("{} {}", here.format(format), zone(&here))
}

/// `UTC` where the clock runs on it, otherwise the offset.
fn zone(moment: &chrono::DateTime<chrono::Local>) -> String {
    match moment.offset().local_minus_utc() {
        0 => "UTC".to_owned(),
        _ => moment.format("%z").to_string(),
    }
}

/// `Nov 22, 2026 at 3:21am (UTC)`.
pub(crate) fn upload_date(moment: Timestamp) -> String {
    moment.format("%b %-d, %Y at %-I:%M%P (UTC)").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(iec(266), "266B");
        assert_eq!(iec(573_440), "560.00KiB");
        assert_eq!(iec(1_462_272), "1.39MiB");
        assert_eq!(si(7_130_000), "7.13MB");
        assert_eq!(iec(i64::MAX), "8.00EiB");
    }

    #[test]
    fn dates() {
        let moment: Timestamp = serde_json::from_str("\"2026-11-22T03:21:59Z\"").unwrap();
        assert_eq!(upload_date(moment), "Nov 22, 2026 at 3:21am (UTC)");
        assert_eq!(day(Timestamp::zero()), "");
        assert_eq!(day(Timestamp::EPOCH), "");
    }
}
