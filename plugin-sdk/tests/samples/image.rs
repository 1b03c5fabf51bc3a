//! Images.

use hull_plugin::Fingerprint;
use hull_plugin::image::*;

use super::common::{config, error, file, memory, op, stream, texts};
use super::samples;

fn query() -> ImageQuery {
    ImageQuery {
        server: "https://images".into(),
        alias: "bookworm".into(),
        architecture: "x86_64".into(),
        instance_type: "container".into(),
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint::new("0123456789abcdef".repeat(4)).unwrap()
}

fn source() -> SourceImage {
    SourceImage {
        id: "debian/bookworm/20260101".into(),
        aliases: texts(),
        architecture: "x86_64".into(),
        instance_type: "container".into(),
        properties: config(),
        fingerprint: Some(fingerprint()),
        size: Some(1 << 33),
    }
}

fn sinks() -> ImageSinks {
    ImageSinks { metadata: file(), rootfs: file() }
}

fn facts() -> ImageFacts {
    ImageFacts {
        fingerprint: fingerprint(),
        size: 1 << 33,
        architecture: "x86_64".into(),
        creation_date: -1,
        expiry_date: 1_700_000_000,
        instance_type: "container".into(),
        properties: config(),
        metadata: memory(),
        split: true,
    }
}

samples!(image, ImageSourceRequest, ImageSourceResponse, {
    Resolve { query: query() } => Ok(source());
    List { server: "https://images".into() } => Ok(memory());
    Fetch { op: op(), query: query(), image: source(), sinks: sinks() } => Err(error());
    Receive { op: op(), upload: stream(), content_type: "multipart/form-data".into(), max_bytes: 1 << 33, sinks: sinks() } =>
        Ok(());
    Inspect { metadata: file(), rootfs: Some(file()) } => Ok(facts());
});
