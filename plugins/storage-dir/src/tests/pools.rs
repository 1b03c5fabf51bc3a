//! Whose directory it is.

use std::fs;

use hull_plugin::Code;
use hull_plugin::storage::VolumeSource;
use hull_plugin::testing::context;

use super::pool::{name, names, op, with_driver};

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    with_driver(async |pool| {
        fs::write(pool.path("precious"), b"x").unwrap();
        let error = pool.create_pool("default").await.unwrap_err();
        assert_eq!(error.code, Code::AlreadyExists);
        assert!(error.to_string().contains("precious"), "{error}");
        let deleted = pool.harness.driver.delete_pool(context(), op(), name("default")).await.unwrap();
        deleted.unwrap(); // there is no such pool, so it is gone
        assert_eq!(names(&pool.path("")), ["precious"]);
        let opened = pool.harness.driver.open_pool(context(), name("default"), Default::default()).await.unwrap();
        assert_eq!(opened.unwrap_err().code, Code::NotFound);
    });
}

#[test]
fn a_pool_is_made_once_and_deleted_with_all_it_holds() {
    with_driver(async |pool| {
        let driver = &pool.harness.driver;
        let usage = driver.pool_usage(context()).await.unwrap();
        assert_eq!(usage.unwrap_err().code, Code::Unavailable);
        fs::create_dir(pool.path("lost+found")).unwrap();
        pool.create_pool("default").await.unwrap();
        pool.create_pool("default").await.unwrap();
        assert_eq!(pool.create_pool("other").await.unwrap_err().code, Code::AlreadyExists);
        pool.create("custom/data", VolumeSource::Empty).await.unwrap();
        driver.delete_pool(context(), op(), name("other")).await.unwrap().unwrap();
        assert!(pool.volume("custom/data").exists());
        for _ in 0..2 {
            driver.delete_pool(context(), op(), name("default")).await.unwrap().unwrap();
            assert_eq!(names(&pool.path("")), ["lost+found"]);
        }
    });
}

#[test]
fn the_driver_says_what_it_is() {
    with_driver(async |pool| {
        let description = pool.harness.lifecycle.describe(context()).await.unwrap();
        assert_eq!(description.driver, "dir");
        assert!(description.config.iter().any(|key| key.covers("source")));
        let manifest = include_str!("../../plugin.toml");
        let manifest: hull_plugin::Manifest = toml::from_str(manifest).unwrap();
        assert_eq!(manifest.name, "storage-dir");
        assert!(manifest.sandbox.pool);
    });
}
