//! Moments as LXD writes them: RFC 3339 in UTC, fractions without trailing zeros, and year 1 for "never".

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// A moment in UTC. The default is Go's zero time, `0001-01-01T00:00:00Z`, which LXD uses for "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    /// 1970-01-01: what LXD shows as the last use of an instance that was never started.
    pub const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    pub fn now() -> Self {
        Self(Utc::now())
    }

    /// Year 1: never.
    pub fn zero() -> Self {
        let date = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
        Self(Utc.from_utc_datetime(&date.and_time(NaiveTime::MIN)))
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::zero()
    }

    /// Neither year 1 nor 1970: a moment that means something. LXD's client hides the others.
    pub fn is_set(&self) -> bool {
        self.0.timestamp() > 0
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::zero()
    }
}

impl Deref for Timestamp {
    type Target = DateTime<Utc>;
    fn deref(&self) -> &DateTime<Utc> {
        &self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m-%dT%H:%M:%S"))?;
        let nanoseconds = self.0.timestamp_subsec_nanos();
        if nanoseconds > 0 {
            let digits = format!("{nanoseconds:09}");
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        formatter.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(Self::zero()),
            Some(text) if text.is_empty() => Ok(Self::zero()),
            Some(text) => DateTime::parse_from_rfc3339(&text)
                .map(|moment| Self(moment.with_timezone(&Utc)))
                .map_err(|error| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        let moment: Timestamp = serde_json::from_value(serde_json::Value::String(text.into())).unwrap();
        moment.to_string()
    }

    #[test]
    fn writes_times_as_go_does() {
        assert_eq!(Timestamp::zero().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(round("2026-11-22T03:22:00.37015975Z"), "2026-11-22T03:22:00.37015975Z");
        assert_eq!(round("2021-03-23T20:00:00-04:00"), "2021-03-24T00:00:00Z");
        assert_eq!(round(""), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn knows_moments_that_mean_something() {
        assert!(!Timestamp::zero().is_set() && !Timestamp::EPOCH.is_set() && Timestamp::now().is_set());
    }
}
