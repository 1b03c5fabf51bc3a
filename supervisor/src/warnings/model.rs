//! A warning, and which ones there are.

use chrono::{DateTime, Utc};
use hull_api::Timestamp;

/// What is wrong. The words are what clients see as the type; those that LXD has are LXD's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PluginOutOfService,
    PluginKeepsEnding,
    PoolUnavailable,
    VolumesMissing,
    NetworkUnavailable,
    AutostartFailed,
}

impl Kind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::PluginOutOfService => "Plugin out of service",
            Self::PluginKeepsEnding => "Plugin keeps ending",
            Self::PoolUnavailable => "Storage pool unavailable",
            Self::VolumesMissing => "Volumes missing in storage pool",
            Self::NetworkUnavailable => "Network unavailable",
            Self::AutostartFailed => "Failed to autostart instance",
        }
    }

    pub(super) fn severity(self) -> &'static str {
        match self {
            Self::PluginOutOfService | Self::PoolUnavailable | Self::VolumesMissing | Self::NetworkUnavailable => {
                "high"
            }
            Self::PluginKeepsEnding => "moderate",
            Self::AutostartFailed => "low",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    New,
    Acknowledged,
    Resolved,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// What an older Hull has written is still a warning.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "acknowledged" => Self::Acknowledged,
            "resolved" => Self::Resolved,
            _ => Self::New,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Warning {
    pub(super) uuid: String,
    /// [`Kind::words`]
    pub(super) kind: String,
    /// The URL of what it is about.
    pub(super) entity: String,
    pub(super) message: String,
    pub(super) status: Status,
    pub(super) severity: String,
    pub(super) count: i64,
    pub(super) first_seen: DateTime<Utc>,
    pub(super) last_seen: DateTime<Utc>,
}

impl Warning {
    pub(super) fn url(&self) -> String {
        format!("/1.0/warnings/{}", self.uuid)
    }

    pub(super) fn rendered(&self) -> hull_api::Warning {
        // Pools and plugins belong to no project.
        let of_project = ["/1.0/instances/", "/1.0/networks/"].iter().any(|noun| self.entity.starts_with(noun));
        hull_api::Warning {
            status: self.status.word().to_owned(),
            uuid: self.uuid.clone(),
            location: "none".to_owned(),
            project: if of_project { "default".to_owned() } else { String::new() },
            kind: self.kind.clone(),
            count: self.count,
            first_seen_at: Timestamp(self.first_seen),
            last_seen_at: Timestamp(self.last_seen),
            last_message: self.message.clone(),
            severity: self.severity.clone(),
            entity_url: self.entity.clone(),
        }
    }

    /// It has happened again.
    pub(super) fn seen_again(&mut self, message: String, now: DateTime<Utc>) {
        self.count += 1;
        self.last_seen = now;
        self.message = message;
        if self.status == Status::Resolved {
            self.status = Status::New;
        }
    }
}
