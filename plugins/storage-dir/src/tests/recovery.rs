//! After a crash, and when Hull says everything twice.

use std::fs;

use hull_plugin::Code;
use hull_plugin::storage::{Reconciled, VolumeSource};
use hull_plugin::testing::context;

use super::images::{lay_out, pack};
use super::pool::{names, op, volume, with_pool};

#[test]
fn what_a_crash_left_is_gone_after_the_pool_is_opened_again() {
    with_pool(async |pool| {
        pool.create("container/whole", VolumeSource::Empty).await.unwrap();
        for half in ["making/one", "deleting/two"] {
            fs::create_dir_all(pool.path(half).join("rootfs/etc")).unwrap();
            fs::write(pool.path(half).join("rootfs/etc/file"), b"half").unwrap();
        }
        fs::write(pool.path("making/a-file"), b"").unwrap();
        let _second = pool.restarted().await;
        pool.assert_nothing_left().await;
        assert_eq!(names(&pool.volume("container")), ["whole"]);
    });
}

#[test]
fn opening_a_pool_again_spares_what_is_being_made() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            for number in 0..2000 {
                fs::write(root.join(format!("f{number}")), b"x").unwrap();
            }
        });
        let file = pool.place.path().join("image.tar.gz");
        pack(&image, &file, &["-z"], &["metadata.yaml", "rootfs"]);
        let opening = async {
            // Between its making and its locking it is taken for rubbish, and made again if it is collected: never longer.
            let mut before = Vec::new();
            for _ in 0..20 {
                let opened = pool.harness.driver.open_pool(context(), super::pool::name("default"), Default::default());
                opened.await.unwrap().unwrap();
                let found = pool.harness.driver.reconcile(context(), vec![], true).await.unwrap().unwrap();
                let half_made: Vec<_> = found.unknown.into_iter().filter(|item| item.starts_with("making:")).collect();
                assert!(!half_made.iter().any(|item| before.contains(item)), "{half_made:?} twice");
                before = half_made;
            }
        };
        let (unpacked, ()) = tokio::join!(pool.unpack("image/busy", &file, None), opening);
        unpacked.unwrap();
        assert_eq!(names(&pool.volume("image/busy/rootfs")).len(), 2000);
    });
}

#[test]
fn a_successor_spares_what_its_predecessor_is_making() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            for number in 0..2000 {
                fs::write(root.join(format!("f{number}")), b"x").unwrap();
            }
        });
        let file = pool.place.path().join("image.tar.gz");
        pack(&image, &file, &["-z"], &["metadata.yaml", "rootfs"]);
        let succeeding = async {
            for _ in 0..20 {
                drop(pool.restarted().await); // it opens the pool, beside the one that unpacks
            }
        };
        let (unpacked, ()) = tokio::join!(pool.unpack("image/busy", &file, None), succeeding);
        unpacked.unwrap();
        assert_eq!(names(&pool.volume("image/busy/rootfs")).len(), 2000);
    });
}

#[test]
fn twice_has_the_effect_of_once_even_at_the_same_time() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| fs::write(root.join("file"), b"x").unwrap());
        let file = pool.place.path().join("image.tar");
        pack(&image, &file, &[], &["metadata.yaml", "rootfs"]);
        let again = || pool.unpack("image/i", &file, None);
        let (one, two, three) = tokio::join!(again(), again(), again());
        for made in [one, two, three] {
            made.unwrap();
        }
        let copy = || pool.create("container/c", VolumeSource::Volume(volume("image/i")));
        let (one, two, gone) = tokio::join!(copy(), copy(), pool.delete("container/none"));
        one.unwrap();
        two.unwrap();
        gone.unwrap();

        let driver = &pool.harness.driver;
        let rename = |from: &str, to: &str| driver.rename_volume(context(), op(), volume(from), volume(to));
        rename("container/c", "container/d").await.unwrap().unwrap();
        rename("container/c", "container/d").await.unwrap().unwrap();
        let missing = rename("container/c", "container/e").await.unwrap().unwrap_err();
        assert_eq!(missing.code, Code::NotFound);
        copy().await.unwrap();
        let taken = rename("container/c", "container/d").await.unwrap().unwrap_err();
        assert_eq!(taken.code, Code::AlreadyExists);
        for _ in 0..2 {
            pool.delete("container/d").await.unwrap();
            assert!(!pool.volume("container/d").exists());
        }
        assert!(pool.volume("container/c/rootfs/file").exists());
    });
}

#[test]
fn what_nobody_knows_is_named_and_collected() {
    with_pool(async |pool| {
        for name in ["container/a", "container/b", "custom/c", "image/d"] {
            pool.create(name, VolumeSource::Empty).await.unwrap();
        }
        fs::create_dir(pool.path("making/half")).unwrap();
        let driver = &pool.harness.driver;
        let first = driver.reconcile(context(), vec![volume("container/a")], false).await.unwrap().unwrap();
        assert_eq!(first, Reconciled::default());
        let known = vec![volume("custom/c"), volume("custom/gone")];
        let found = driver.reconcile(context(), known, true).await.unwrap().unwrap();
        assert_eq!(found.missing, ["custom/gone"]);
        assert_eq!(found.unknown.len(), 2, "{found:?}");
        for _ in 0..2 {
            driver.collect(context(), op(), found.unknown.clone()).await.unwrap().unwrap();
        }
        assert_eq!(names(&pool.volume("container")), ["a", "b"], "somebody's data went");
        assert!(pool.volume("custom/c").exists());
        assert!(!pool.volume("image/d").exists());
        for bad in ["making:../volumes", "volume:../../etc", "x", "making:"] {
            let refused = driver.collect(context(), op(), vec![bad.into()]).await.unwrap();
            assert_eq!(refused.unwrap_err().code, Code::InvalidConfig, "{bad}");
        }
    });
}

#[test]
fn long_work_reports_its_progress_now_and_then() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            let noise: Vec<u8> = (0..12_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 19) as u8).collect();
            // Several times: nobody's decompressor should be done with it before the first report is due.
            for name in ["one", "two", "three"] {
                fs::write(root.join(name), &noise).unwrap();
            }
        });
        let file = pool.place.path().join("image.tar.bz2");
        pack(&image, &file, &["-j"], &["metadata.yaml", "rootfs"]);
        let start = std::time::Instant::now();
        pool.unpack("image/slow", &file, None).await.unwrap();
        let progress = pool.harness.host.progress.borrow();
        let most = start.elapsed().as_millis() as usize / 100 + 1;
        assert!((1..=most).contains(&progress.len()), "{} reports in {:?}", progress.len(), start.elapsed());
        assert!(progress.iter().all(|(_, progress)| progress.stage == "unpack" && progress.percent.is_some()));
        assert!(progress.iter().is_sorted_by_key(|(_, progress)| progress.processed));
    });
}
