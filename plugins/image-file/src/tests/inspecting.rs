//! Facts about image files.

use std::fs::{self, File};
use std::io::Read;
use std::process::Command;

use hull_plugin::image::ImageFacts;
use hull_plugin::testing::context;
use hull_plugin::{Code, DriverError};
use sha2::{Digest, Sha256};

use super::source::{TestSource, with_source};

const METADATA: &str = "architecture: x86_64\ncreation_date: 1700000000\nexpiry_date: 1800000000\n\
    properties:\n  os: Debian\n  release: bookworm\ntemplates:\n  /etc/hostname:\n    when: [create]\n    template: h.tpl\n";

/// A tarball of a root file system, or a disk, and metadata.
fn tarball(source: &TestSource, name: &str, entries: &[(&str, &str)]) {
    let mut builder = tar::Builder::new(File::create(source.path(name)).unwrap());
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.finish().unwrap();
}

async fn inspect(source: &TestSource, metadata: &str, rootfs: Option<&str>) -> Result<ImageFacts, DriverError> {
    let (metadata, rootfs) = (source.open(metadata), rootfs.map(|name| source.open(name)));
    source.harness.driver.inspect(context(), metadata, rootfs).await.unwrap()
}

#[test]
fn the_fingerprint_is_what_sha256sum_says_of_the_files_in_their_order() {
    with_source(async |source| {
        tarball(source, "unified.tar", &[("metadata.yaml", METADATA), ("rootfs/", ""), ("rootfs/x", "y")]);
        tarball(source, "metadata.tar", &[("templates/h.tpl", "x"), ("metadata.yaml", METADATA)]);
        tarball(source, "rootfs.tar", &[("bin/", ""), ("bin/true", "")]);
        let facts = inspect(source, "unified.tar", None).await.unwrap();
        let sum = Command::new("sha256sum").arg(source.path("unified.tar")).output().unwrap();
        assert_eq!(facts.fingerprint.as_str(), &String::from_utf8(sum.stdout).unwrap()[..64]);
        assert_eq!(facts.size, fs::metadata(source.path("unified.tar")).unwrap().len());
        assert!(!facts.split);

        let facts = inspect(source, "metadata.tar", Some("rootfs.tar")).await.unwrap();
        let both = ["metadata.tar", "rootfs.tar"].map(|name| fs::read(source.path(name)).unwrap()).concat();
        assert_eq!(facts.fingerprint.as_str(), hex::encode(Sha256::digest(&both)));
        assert_eq!(facts.size, both.len() as u64);
        assert!(facts.split);
        let dates = (facts.creation_date, facts.expiry_date);
        assert_eq!((facts.architecture.as_str(), dates), ("x86_64", (1_700_000_000, 1_800_000_000)));
        assert_eq!(facts.properties["os"], "Debian");
        let mut text = String::new();
        File::from(facts.metadata.into_owned()).read_to_string(&mut text).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["templates"]["/etc/hostname"]["template"], "h.tpl");
    });
}

#[test]
fn the_kind_of_instance_is_seen_from_the_content() {
    with_source(async |source| {
        tarball(source, "container", &[("metadata.yaml", METADATA), ("rootfs/", "")]);
        tarball(source, "machine", &[("metadata.yaml", METADATA), ("rootfs.img", "QFI")]);
        tarball(source, "metadata", &[("metadata.yaml", METADATA)]);
        fs::write(source.path("disk"), b"QFI\xfb and so on").unwrap();
        for (metadata, rootfs, kind) in [
            ("container", None, "container"),
            ("machine", None, "virtual-machine"),
            ("metadata", Some("disk"), "virtual-machine"),
            ("metadata", Some("container"), "container"),
        ] {
            assert_eq!(inspect(source, metadata, rootfs).await.unwrap().instance_type, kind);
        }
    });
}

#[test]
fn what_is_no_image_is_refused_with_the_reason() {
    with_source(async |source| {
        let huge = format!("architecture: {}", "x".repeat(2 << 20));
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("rootfs/", "")], "no metadata.yaml"),
            (&[("metadata.yaml", METADATA)], "no root file system"),
            (&[("metadata.yaml", "properties: {}"), ("rootfs/", "")], "no architecture"),
            (&[("metadata.yaml", "a: [b"), ("rootfs/", "")], "cannot be read"),
            (&[("metadata.yaml", &huge), ("rootfs/", "")], "larger than 1 MiB"),
            (&[("metadata.yaml/", ""), ("rootfs/", "")], "not a plain file"),
        ];
        for (entries, word) in cases {
            tarball(source, "bad", entries);
            let error = inspect(source, "bad", None).await.unwrap_err();
            assert_eq!(error.code, Code::Corrupt, "{error}");
            assert!(error.to_string().contains(word), "`{error}` does not say `{word}`");
        }
        for (content, word) in [(&b""[..], "empty"), (b"text", "neither a tarball"), (b"\x1f\x8b\x08\0", "truncated")] {
            fs::write(source.path("bad"), content).unwrap();
            let error = inspect(source, "bad", None).await.unwrap_err();
            assert_eq!(error.code, Code::Corrupt, "{error}");
            assert!(error.to_string().contains(word), "`{error}` does not say `{word}`");
        }
    });
}

#[test]
fn the_manifest_asks_for_nothing() {
    let manifest: hull_plugin::Manifest = toml::from_str(include_str!("../../plugin.toml")).unwrap();
    assert_eq!(manifest.name, "image-file");
    let sandbox = manifest.sandbox;
    assert!(sandbox.capabilities.is_empty() && sandbox.read.is_empty() && sandbox.write.is_empty());
    assert!(sandbox.execute.is_empty() && !sandbox.pool && !sandbox.state && !sandbox.proc);
}
