//! An image sent by a client: a driver takes it apart while it arrives, so that no byte of it passes through hulld.

use std::io::Write;

use http::HeaderMap;
use hull_api::ImageAlias;
use hull_plugin::{ConfigMap, Fingerprint, OperationId, StreamFd};

use super::files::Sinks;
use super::import::Wishes;
use crate::api::ApiError;
use crate::hull::Hull;

/// The longest upload, in bytes.
const LONGEST: u64 = 256 << 30;

/// Fills two nameless files with what the client sends. The answer to the request waits for it: a client that is told
/// to go on watching an operation may stop sending.
pub(super) async fn receive(hull: &Hull, stream: StreamFd, content_type: &str) -> Result<Sinks, ApiError> {
    let inspector = hull.plugins.image_inspector().await?;
    let sinks = hull.images.directory.sinks()?;
    let lent = sinks.lent().map_err(|error| ApiError::internal(format!("cannot copy a descriptor: {error}")))?;
    inspector.receive(&OperationId::random(), &stream, content_type, LONGEST, &lent).await?;
    Ok(sinks)
}

/// A body that came inside the message, as the stream a driver reads. Small: a pipe holds it.
pub(super) fn stream_of(body: &[u8]) -> Result<StreamFd, ApiError> {
    let unusable = |error: std::io::Error| ApiError::internal(format!("cannot hand the upload on: {error}"));
    let (reader, mut writer) = std::io::pipe().map_err(unusable)?;
    writer.write_all(body).map_err(unusable)?;
    Ok(StreamFd::new(std::os::fd::OwnedFd::from(reader)))
}

/// What LXD's clients say of an upload in headers.
pub(super) fn wishes(headers: &HeaderMap) -> Result<Wishes, ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let pairs = |name: &str| {
        let parsed: Result<Vec<(String, String)>, _> = query_pairs(header(name));
        parsed.map_err(|why| ApiError::bad_request(format!("invalid header {name}: {why}")))
    };
    let properties: ConfigMap = pairs("x-lxd-properties")?.into_iter().collect();
    let alias = |(_, name): (String, String)| ImageAlias { name, description: String::new() };
    let aliases = pairs("x-lxd-aliases")?.into_iter().filter(|(key, _)| matches!(key.as_str(), "alias" | "name"));
    let profiles = pairs("x-lxd-profiles")?.into_iter().filter(|(key, _)| key == "profile").map(|(_, name)| name);
    let fingerprint = Some(header("x-lxd-fingerprint")).filter(|text| !text.is_empty());
    Ok(Wishes {
        fingerprint: fingerprint.map(Fingerprint::new).transpose()?,
        filename: filename(header("x-lxd-filename"))?,
        public: matches!(header("x-lxd-public"), "1" | "true" | "yes" | "on"),
        properties,
        aliases: aliases.map(alias).collect(),
        profiles: profiles.collect(),
        ..Wishes::default()
    })
}

/// It comes back in a header of its own when the image is exported.
fn filename(text: &str) -> Result<String, ApiError> {
    if text.len() > 255 || text.contains(|one: char| one.is_control() || one == '/' || one == '"') {
        return Err(ApiError::bad_request(format!("Invalid filename {text:?}")));
    }
    Ok(text.to_owned())
}

/// `a=b&c=d`, with LXD's clients' escapes.
fn query_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decode = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(key)?, decoded(value)?))
    };
    pairs.map(decode).collect()
}

fn decoded(text: &str) -> Result<String, String> {
    let bad = || format!("bad escape in {text:?}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).map_err(|_| bad())?;
                bytes.extend(decoded);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn headers_say_what_the_user_wants() {
        let mut headers = HeaderMap::new();
        headers.insert("x-lxd-filename", HeaderValue::from_static("u.tar.gz"));
        headers.insert("x-lxd-properties", HeaderValue::from_static("os=Busy+Box&note=a%3Db"));
        headers.insert("x-lxd-public", HeaderValue::from_static("1"));
        headers.insert("x-lxd-aliases", HeaderValue::from_static("alias=a%2Fb"));
        let wishes = wishes(&headers).unwrap();
        assert_eq!(wishes.filename, "u.tar.gz");
        assert_eq!(wishes.properties["os"], "Busy Box");
        assert_eq!(wishes.properties["note"], "a=b");
        assert!(wishes.public);
        assert_eq!(wishes.aliases[0].name, "a/b");
    }

    #[test]
    fn escapes_that_are_none_are_refused() {
        assert!(decoded("%zz").is_err() && decoded("%1").is_err() && decoded("%ff").is_err());
        assert!(filename("a/b").is_err());
    }
}
