//! An image and its aliases.

use chrono::DateTime;
use hull_api::{ImageAlias, ImagePut, Timestamp};
use hull_plugin::{ConfigMap, Fingerprint, VolumeName};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

/// What the database holds of an image. Moments are seconds since the epoch; 0 is never.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) filename: String,
    pub(crate) size: u64,
    pub(crate) architecture: String,
    /// `container` or `virtual-machine`.
    pub(crate) kind: String,
    pub(crate) public: bool,
    pub(crate) auto_update: bool,
    /// Fetched for an instance rather than by a user's wish.
    pub(crate) cached: bool,
    /// Whether the root file system is a file of its own.
    pub(crate) split: bool,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) uploaded_at: i64,
    pub(crate) last_used_at: i64,
    pub(crate) properties: ConfigMap,
    pub(crate) profiles: Vec<String>,
    /// All of metadata.yaml, as its driver read it.
    pub(crate) metadata: serde_json::Value,
    pub(crate) source: Option<Source>,
}

/// Where an image was fetched from, and what it was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) protocol: String,
    pub(crate) server: String,
    pub(crate) alias: String,
    /// The source's own name for this content.
    pub(crate) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) name: AliasName,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) description: String,
}

/// A valid alias name. It may have slashes: `debian/12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AliasName(String);

impl AliasName {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.is_empty() || text.len() > 255 || text.contains(char::is_control) {
            return Err(ApiError::bad_request(format!("Invalid alias name {text:?}")));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Escaped, so that it stays one segment of the path.
    pub(crate) fn url(&self) -> String {
        let mut url = String::from("/1.0/images/aliases/");
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        url
    }
}

impl Image {
    pub(crate) fn url(&self) -> String {
        format!("/1.0/images/{}", self.fingerprint)
    }

    /// The volume that a pool keeps of it.
    pub(crate) fn volume(&self) -> VolumeName {
        volume_of(&self.fingerprint)
    }

    /// What a PUT may change.
    pub(super) fn writable(&self) -> ImagePut {
        ImagePut {
            auto_update: self.auto_update,
            properties: self.properties.clone(),
            public: self.public,
            expires_at: moment(self.expires_at),
            profiles: self.profiles.clone(),
        }
    }

    pub(super) fn rendered(&self, aliases: Vec<ImageAlias>) -> hull_api::Image {
        let never_used = self.last_used_at == 0;
        hull_api::Image {
            auto_update: self.auto_update,
            properties: self.properties.clone(),
            public: self.public,
            expires_at: moment(self.expires_at),
            profiles: self.profiles.clone(),
            aliases,
            architecture: self.architecture.clone(),
            cached: self.cached,
            filename: self.filename.clone(),
            fingerprint: self.fingerprint.to_string(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            update_source: self.source.as_ref().map(|source| source.rendered(&self.kind)),
            kind: self.kind.clone(),
            created_at: moment(self.created_at),
            last_used_at: if never_used { Timestamp::zero() } else { moment(self.last_used_at) },
            uploaded_at: moment(self.uploaded_at),
        }
    }
}

impl Source {
    fn rendered(&self, kind: &str) -> hull_api::ImageSource {
        hull_api::ImageSource {
            alias: self.alias.clone(),
            certificate: String::new(),
            protocol: self.protocol.clone(),
            server: self.server.clone(),
            image_type: kind.to_owned(),
        }
    }
}

pub(crate) fn volume_of(fingerprint: &Fingerprint) -> VolumeName {
    VolumeName::new(format!("image/{fingerprint}")).expect("a fingerprint is a valid file name")
}

pub(super) fn moment(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).map(Timestamp::from).unwrap_or(Timestamp::EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stays_one_segment_of_its_url() {
        let alias = AliasName::parse("a/b c").unwrap();
        assert_eq!(alias.url(), "/1.0/images/aliases/a%2Fb%20c");
        assert!(AliasName::parse("").is_err() && AliasName::parse("a\nb").is_err());
    }
}
