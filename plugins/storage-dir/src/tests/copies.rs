//! Copies of volumes, and what volumes occupy.

use std::fs;
use std::os::unix::fs::MetadataExt;

use hull_plugin::Code;
use hull_plugin::storage::{Usage, VolumeRoot, VolumeSource};
use hull_plugin::testing::context;

use super::images::{lay_out, pack};
use super::pool::{op, volume, with_pool};
use super::trees::{add_acls, add_devices, make_everything};
use super::unpacking::assert_same;

#[test]
fn a_copy_is_the_same_tree_with_links_of_its_own() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            make_everything(root);
            add_acls(root);
            fs::write(root.join("var/large"), vec![9; 3 << 20]).unwrap();
        });
        let file = pool.place.path().join("image.tar");
        pack(&image, &file, &["--format=posix", "--acls", "-S"], &["metadata.yaml", "templates", "rootfs"]);
        pool.unpack("image/cache", &file, None).await.unwrap();
        add_devices(&pool.volume("image/cache").join("rootfs")); // an older Hull's image may have some: a copy is a copy
        let source = || VolumeSource::Volume(volume("image/cache"));
        pool.create("container/c1", source()).await.unwrap();
        let (from, to) = (pool.volume("image/cache"), pool.volume("container/c1"));
        assert_same(&from.join("rootfs"), &to.join("rootfs"), "copy");
        assert_eq!(fs::read(from.join("metadata.yaml")).unwrap(), fs::read(to.join("metadata.yaml")).unwrap());
        let inode = |path: std::path::PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(to.join("rootfs/etc/shadow")), inode(to.join("rootfs/var/deep/er/shadow-too")));
        assert_ne!(inode(to.join("rootfs/etc/shadow")), inode(from.join("rootfs/etc/shadow")));

        pool.create("container/c1", source()).await.unwrap(); // repeated
        let error = pool.create("container/c1", VolumeSource::Empty).await.unwrap_err();
        assert_eq!(error.code, Code::AlreadyExists);
        let error = pool.create("container/c2", VolumeSource::Volume(volume("image/none"))).await.unwrap_err();
        assert_eq!(error.code, Code::NotFound);
        assert!(error.to_string().contains("image/none"), "{error}");
        let error = pool.create("custom/c2", source()).await.unwrap_err();
        assert_eq!(error.code, Code::Unsupported);
    });
}

#[test]
fn deep_trees_are_copied_measured_and_removed() {
    with_pool(async |pool| {
        pool.create("custom/deep", VolumeSource::Empty).await.unwrap();
        let mut path = pool.volume("custom/deep/data");
        for _ in 0..300 {
            path.push("d");
            fs::create_dir(&path).unwrap();
        }
        fs::write(path.join("bottom"), b"here").unwrap();
        pool.create("custom/copy", VolumeSource::Volume(volume("custom/deep"))).await.unwrap();
        assert_same(&pool.volume("custom/deep/data"), &pool.volume("custom/copy/data"), "deep");
        let usage = pool.harness.driver.volume_usage(context(), volume("custom/deep")).await.unwrap().unwrap();
        assert_eq!(usage.inodes_used, 304); // the volume, its record, `data`, 300 directories, the file
        // Far deeper than a path can say, as a guest can make it.
        for _ in 0..30 {
            let top = pool.volume("custom/deep/data/top");
            fs::rename(pool.volume("custom/deep/data/d"), pool.volume("custom/deep/data/old")).unwrap();
            let mut path = pool.volume("custom/deep/data/d");
            fs::create_dir(&path).unwrap();
            for _ in 0..100 {
                path.push("d");
                fs::create_dir(&path).unwrap();
            }
            fs::rename(pool.volume("custom/deep/data/old"), path.join("d")).unwrap();
            assert!(!top.exists());
        }
        let error = pool.create("custom/too-deep", VolumeSource::Volume(volume("custom/deep"))).await.unwrap_err();
        assert_eq!(error.code, Code::Unsupported, "{error}");
        pool.delete("custom/deep").await.unwrap();
    });
}

#[test]
fn a_volume_tells_what_it_occupies_and_where_it_is() {
    with_pool(async |pool| {
        pool.create("custom/data", VolumeSource::Empty).await.unwrap();
        fs::write(pool.volume("custom/data/data/file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(pool.volume("custom/data/data/file"), pool.volume("custom/data/data/again")).unwrap();
        let driver = &pool.harness.driver;
        let usage = driver.volume_usage(context(), volume("custom/data")).await.unwrap().unwrap();
        assert!((1 << 20..(1 << 20) + 65536).contains(&usage.bytes_used), "{usage:?}");
        assert_eq!(usage.inodes_used, 4);
        let whole = driver.pool_usage(context()).await.unwrap().unwrap();
        assert!(whole.bytes_total > whole.bytes_used && whole.bytes_used > 1 << 20, "{whole:?}");
        assert_ne!(whole, Usage::default());

        pool.create("container/c1", VolumeSource::Empty).await.unwrap();
        for (name, path) in [("custom/data", "volumes/custom/data/data"), ("container/c1", "volumes/container/c1")] {
            for _ in 0..2 {
                let root = driver.mount_volume(context(), op(), volume(name)).await.unwrap().unwrap();
                assert!(matches!(&root, VolumeRoot::InPool(found) if found == path), "{root:?}");
                assert!(pool.path(path).is_dir());
            }
            driver.unmount_volume(context(), op(), volume(name)).await.unwrap().unwrap();
        }
        assert!(pool.volume("container/c1/rootfs").is_dir());
        let error = driver.mount_volume(context(), op(), volume("custom/none")).await.unwrap().unwrap_err();
        assert_eq!(error.code, Code::NotFound);
        let limit = driver.resize_volume(context(), op(), volume("custom/data"), Some(1 << 30)).await.unwrap();
        assert_eq!(limit.unwrap_err().code, Code::Unsupported);
    });
}
