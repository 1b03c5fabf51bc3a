//! Mounts in containers: what was attached read-only or without devices stays so, and once is once.
#![allow(clippy::unwrap_used)] // helpers of tests are test code

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hull_plugin::instance::{MountSpec, Prepared};
use hull_plugin::testing::context;
use hull_plugin::{ConfigMap, InstanceId, OperationId};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use support::{Fixture, spec, with_driver};

/// All ways to change the mount at `$1` that its namespace's root has, then what they would be for.
const ATTEMPTS: &str = r#"
at=$1
for options in remount,bind,rw,dev remount,bind,rw,nodev remount,bind,ro,dev remount,rw remount,dev; do
    busybox mount -o $options none $at 2>/dev/null
done
busybox mkdir -p /tmp/copy && busybox mount -o bind $at /tmp/copy && busybox mount -o remount,bind,rw,dev none /tmp/copy
busybox unshare -m busybox mount -o remount,bind,rw,dev none $at
busybox unshare -U -r -m busybox mount -o remount,bind,rw,dev none $at
for place in $at /tmp/copy; do
    [ "$2" = written ] && echo x 2>/dev/null >$place/world/new && echo WROTE $place
    for node in zero loop; do
        busybox head -c 1 $place/world/$node >/dev/null && echo OPENED $place $node
    done
done
busybox umount /tmp/copy
true
"#;

#[test]
fn what_a_mount_forbids_its_containers_root_cannot_allow() {
    with_driver("locked", async |hull| {
        let (root, disk) = (with_nodes(&hull.rootfs("c1")), with_nodes(&hull.rootfs("disk")));
        let id = InstanceId::new("c1").unwrap();
        let prepared = hull.prepare(&id).await;
        attach(hull, &id, "/srv/early", &disk, &prepared).await;
        let tree = hull.mounted(&root, &prepared);
        hull.driver()
            .start(context(), OperationId::random(), spec(&id, ConfigMap::new()), tree)
            .await
            .unwrap()
            .unwrap();
        attach(hull, &id, "/srv/late", &disk, &prepared).await;

        for (place, wish) in [("/", "opened"), ("/srv/early", "written"), ("/srv/late", "written")] {
            let output = hull.exec(&id, &["sh", "-c", ATTEMPTS, "sh", place, wish]).await;
            assert_eq!((output.status, output.stdout.as_str()), (0, ""), "{place}: {}", output.stderr);
            assert!(output.stderr.contains("Permission denied"), "nothing was tried at {place}: {}", output.stderr);
        }
        assert!(!disk.join("world/new").exists());
        // What the container needs is not taken away: its own devices, its root, and unmounting.
        let script =
            "head -c 1 /dev/zero | busybox wc -c; echo y >/root/new && cat /root/new; busybox umount /srv/late";
        let output = hull.exec(&id, &["sh", "-c", &script.replace("head", "busybox head")]).await;
        assert_eq!((output.status, output.stdout.as_str()), (0, "1\ny\n"), "{}", output.stderr);
    });
}

#[test]
fn attaching_again_leaves_one_mount() {
    with_driver("again-mount", async |hull| {
        let (root, disk) = (hull.rootfs("c1"), hull.rootfs("disk"));
        let id = InstanceId::new("c1").unwrap();
        let prepared = hull.prepare(&id).await;
        for _ in 0..2 {
            attach(hull, &id, "/srv/early", &disk, &prepared).await;
        }
        let tree = hull.mounted(&root, &prepared);
        let driver = hull.driver();
        let started = driver.start(context(), OperationId::random(), spec(&id, ConfigMap::new()), tree).await;
        let handle = started.unwrap().unwrap().handle;
        let stored = vec![hull_plugin::StoredHandle { object: id.to_string(), handle }];
        for _ in 0..2 {
            for path in ["/srv/early", "/srv/late"] {
                for _ in 0..2 {
                    attach(hull, &id, path, &disk, &prepared).await;
                }
                assert_eq!(mounts_at(hull, &id, path).await, 1, "{path}");
            }
            hull.restart_driver(stored.clone()).await; // which remembers nothing
        }
        for path in ["/srv/early", "/srv/late"] {
            let driver = hull.driver();
            driver.detach_mount(context(), OperationId::random(), id.clone(), path.into()).await.unwrap().unwrap();
            assert_eq!(mounts_at(hull, &id, path).await, 0, "{path}");
        }
    });
}

/// Read-only.
async fn attach(hull: &Fixture, id: &InstanceId, path: &str, disk: &Path, prepared: &Prepared) {
    let spec = MountSpec { path: path.into(), read_only: true };
    let tree = hull.mounted(disk, prepared);
    hull.driver().attach_mount(context(), OperationId::random(), id.clone(), spec, tree).await.unwrap().unwrap();
}

async fn mounts_at(hull: &Fixture, id: &InstanceId, path: &str) -> usize {
    let mounts = hull.exec(id, &["cat", "/proc/self/mounts"]).await.stdout;
    mounts.lines().filter(|line| line.split(' ').nth(1) == Some(path)).count()
}

/// In `world`, where everybody may write: nodes of devices that the test's cgroups allow.
fn with_nodes(tree: &Path) -> std::path::PathBuf {
    let world = tree.join("world");
    fs::create_dir(&world).unwrap();
    fs::set_permissions(&world, fs::Permissions::from_mode(0o777)).unwrap();
    for (name, kind, device) in [("zero", SFlag::S_IFCHR, makedev(1, 5)), ("loop", SFlag::S_IFBLK, makedev(7, 0))] {
        mknod(&world.join(name), kind, Mode::from_bits_retain(0o666), device).unwrap();
        fs::set_permissions(world.join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    tree.to_owned()
}
