//! Images of every format arrive with everything they had.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::images::{METADATA, lay_out, pack, squash};
use super::pool::{TestPool, with_pool};
use super::trees::{SPARSE_SIZE, add_acls, add_devices, allocated, describe, make_everything};

#[test]
fn a_unified_tarball_keeps_everything_whatever_its_compression_and_format() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            make_everything(root);
            add_acls(root);
        });
        let formats: [(&str, &[&str]); 8] = [
            ("gnu", &["--format=gnu", "--format=posix"]),
            ("pax-sparse", &["--format=posix", "--sparse"]),
            ("pax-sparse-0-1", &["--format=posix", "--sparse", "--sparse-version=0.1"]),
            ("pax-sparse-0-0", &["--format=posix", "--sparse", "--sparse-version=0.0"]),
            ("gzip", &["-z"]),
            ("xz", &["-J"]),
            ("zstd", &["--zstd"]),
            ("bzip2", &["-j"]),
        ];
        for (name, options) in formats {
            let file = pool.place.path().join(name);
            pack(&image, &file, &[options, &["--acls"]].concat(), &["metadata.yaml", "templates", "rootfs"]);
            let volume = format!("image/{name}");
            pool.unpack(&volume, &file, None).await.unwrap();
            assert_same(&image.join("rootfs"), &pool.volume(&volume).join("rootfs"), name);
            assert_eq!(fs::read_to_string(pool.volume(&volume).join("metadata.yaml")).unwrap(), METADATA);
            assert!(pool.volume(&volume).join("templates/hostname.tpl").exists());
            pool.delete(&volume).await.unwrap();
        }
    });
}

#[test]
fn gnus_own_sparse_format_and_long_names_are_read() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            let deep = root.join("d".repeat(90)).join("e".repeat(90));
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("f".repeat(90)), b"deep").unwrap();
            std::os::unix::fs::symlink("t".repeat(300), root.join("link")).unwrap();
            let sparse = fs::File::create(root.join("many-holes")).unwrap();
            for hole in 0..40 {
                std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", hole << 16).unwrap();
            }
        });
        let file = pool.place.path().join("old.tar");
        let sparse = ["-S", "--format=gnu"];
        // GNU's format has no attributes: those options would change it to PAX.
        let (directory, target) = (image.to_str().unwrap(), file.to_str().unwrap());
        let members = ["-C", directory, "-cf", target, "."];
        super::trees::run("tar", &[&sparse[..], &members].concat());
        pool.unpack("image/old", &file, None).await.unwrap();
        let unpacked = pool.volume("image/old/rootfs");
        assert_same(&image.join("rootfs"), &unpacked, "old");
        assert!(allocated(&unpacked.join("many-holes")) <= 48 * 4096); // with the map itself
    });
}

#[test]
fn a_split_image_keeps_everything_from_squashfs_and_from_tarballs() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", make_everything);
        let metadata = pool.place.path().join("metadata.tar.xz");
        pack(&image, &metadata, &["-J"], &["metadata.yaml", "templates"]);
        for compressor in ["gzip", "xz", "zstd"] {
            let file = pool.place.path().join(compressor);
            squash(&image.join("rootfs"), &file, &["-comp", compressor, "-b", "65536"]);
            check_split(pool, &image, &metadata, &file, compressor).await;
        }
        let file = pool.place.path().join("uncompressed");
        squash(&image.join("rootfs"), &file, &["-noI", "-noD", "-noF", "-noX", "-no-fragments"]);
        check_split(pool, &image, &metadata, &file, "uncompressed").await;
        let file = pool.place.path().join("rootfs.tar.zst");
        pack(&image.join("rootfs"), &file, &["--zstd"], &["."]);
        check_split(pool, &image, &metadata, &file, "tarball").await;
    });
}

async fn check_split(pool: &TestPool, image: &Path, metadata: &Path, rootfs: &Path, name: &str) {
    let volume = format!("container/{name}");
    pool.unpack(&volume, metadata, Some(rootfs)).await.unwrap();
    assert_same(&image.join("rootfs"), &pool.volume(&volume).join("rootfs"), name);
    assert!(pool.volume(&volume).join("templates/hostname.tpl").exists());
}

#[test]
fn device_nodes_are_left_out() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            make_everything(root);
            add_devices(root);
        });
        let at = |name: &str| pool.place.path().join(name);
        pack(&image, &at("unified"), &[], &["metadata.yaml", "templates", "rootfs"]);
        pack(&image, &at("metadata"), &[], &["metadata.yaml", "templates"]);
        pack(&image.join("rootfs"), &at("tarball"), &[], &["."]);
        squash(&image.join("rootfs"), &at("squashfs"), &[]);
        pool.unpack("image/unified", &at("unified"), None).await.unwrap();
        for rootfs in ["tarball", "squashfs"] {
            pool.unpack(&format!("image/{rootfs}"), &at("metadata"), Some(&at(rootfs))).await.unwrap();
        }
        for name in ["dev/null", "etc/loop300", "var/loop300"] {
            fs::remove_file(image.join("rootfs").join(name)).unwrap();
        }
        for name in ["unified", "tarball", "squashfs"] {
            let unpacked = pool.volume(&format!("image/{name}/rootfs"));
            let named = describe(&unpacked).into_keys().collect::<Vec<_>>();
            assert_eq!(named, describe(&image.join("rootfs")).into_keys().collect::<Vec<_>>(), "{name}");
            assert!(fs::symlink_metadata(unpacked.join("dev/deleted")).unwrap().file_type().is_char_device());
        }
    });
}

#[test]
fn a_squashfs_of_many_files_and_large_ones_is_read_right() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            for number in 0..3000u32 {
                let directory = root.join(format!("d{}", number % 7));
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join(format!("file-{number}")), number.to_le_bytes().repeat(number as usize % 97))
                    .unwrap();
            }
            let large: Vec<u8> = (0..5_000_001u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            fs::write(root.join("large"), large).unwrap();
        });
        let metadata = pool.place.path().join("metadata.tar");
        pack(&image, &metadata, &[], &["metadata.yaml"]);
        let file = pool.place.path().join("squashfs");
        squash(&image.join("rootfs"), &file, &["-comp", "zstd"]);
        check_split_without_templates(pool, &image, &metadata, &file).await;
    });
}

async fn check_split_without_templates(pool: &TestPool, image: &Path, metadata: &Path, rootfs: &Path) {
    pool.unpack("image/many", metadata, Some(rootfs)).await.unwrap();
    assert_same(&image.join("rootfs"), &pool.volume("image/many/rootfs"), "many");
    assert!(!pool.volume("image/many/templates").exists());
}

#[test]
fn only_root_enters_the_pool_and_what_is_not_of_the_image_is_left_out() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |_| {});
        fs::write(image.join("backup.yaml"), "evil: true").unwrap();
        let file = pool.place.path().join("image.tar");
        pack(&image, &file, &[], &["backup.yaml", "metadata.yaml", "rootfs"]);
        pool.unpack("image/plain", &file, None).await.unwrap();
        assert_eq!(super::pool::names(&pool.volume("image/plain")), ["metadata.yaml", "rootfs", "volume.json"]);
        assert_eq!(fs::metadata(pool.path("")).unwrap().mode() & 0o7777, 0o700);
        for closed in ["volumes", "making", "deleting", "volumes/image", "volumes/image/plain"] {
            assert_eq!(fs::metadata(pool.path(closed)).unwrap().mode() & 0o7777, 0o700, "{closed}");
        }
    });
}

pub(super) fn assert_same(original: &Path, copy: &Path, what: &str) {
    let (original_tree, copied_tree) = (describe(original), describe(copy));
    for (path, kept) in &original_tree {
        let Some(found) = copied_tree.get(path) else { panic!("{what}: {} is missing", path.display()) };
        let shown = |kept: &super::trees::Kept| {
            let mut kept = kept.clone();
            kept.content.truncate(40);
            kept
        };
        assert!(kept == found, "{what}: {}\n{:?}\n{:?}", path.display(), shown(kept), shown(found));
    }
    assert_eq!(original_tree.len(), copied_tree.len(), "{what}");
    if let Ok(status) = fs::metadata(copy.join("var/sparse")) {
        assert_eq!(status.len(), SPARSE_SIZE);
        assert!(allocated(&copy.join("var/sparse")) < 64 << 10, "{what}: holes were filled");
    }
}
