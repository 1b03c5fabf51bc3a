//! Hostile and damaged images: refused with the reason, nothing left behind, nothing outside touched.

use std::fs;
use std::path::Path;

use hull_plugin::Code;
use tar::EntryType;

use super::images::{Forged, METADATA, cut, damaged, lay_out, pack, squash};
use super::pool::{MANY, TestPool, names, with_pool};

/// Adds the hostile entries.
type Attack<'a> = &'a dyn for<'f> Fn(&'f mut Forged) -> &'f mut Forged;

/// The image must be refused with `Corrupt` and a reason that has `word` in it.
async fn assert_refused(pool: &TestPool, image: &Path, word: &str) {
    assert_refused_split(pool, image, None, word).await;
}

async fn assert_refused_split(pool: &TestPool, metadata: &Path, rootfs: Option<&Path>, word: &str) {
    let canary = pool.place.path().join("canary");
    fs::write(&canary, b"sings").unwrap();
    let error = pool.unpack("image/evil", metadata, rootfs).await.expect_err(word);
    assert_eq!(error.code, Code::Corrupt, "{error}");
    assert!(error.to_string().contains(word), "`{error}` does not say `{word}`");
    assert!(!pool.volume("image/evil").exists());
    assert_eq!(names(&pool.path("making")), [] as [String; 0], "{word}");
    assert_eq!(fs::read(&canary).unwrap(), b"sings", "{word}");
    assert_eq!(names(&pool.path("")), ["deleting", "hull-pool.json", "making", "volumes"], "{word}");
}

#[test]
fn paths_that_climb_out_are_refused() {
    with_pool(async |pool| {
        let canary = pool.place.path().join("canary");
        let canary = canary.to_str().unwrap();
        let attacks: [(&str, Attack); 19] = [
            ("`..`", &|image| image.file("rootfs/../../../../canary", b"dead")),
            ("`..`", &|image| image.file("../x", b"dead")),
            ("`..`", &|image| image.entry(EntryType::Directory, "rootfs/..", "", b"")),
            ("absolute", &|image| image.file(canary, b"dead")),
            ("absolute", &|image| image.file("/rootfs/x", b"dead")),
            ("symbolic link", &|image| image.symlink("rootfs/out", "../../../..").file("rootfs/out/canary", b"dead")),
            ("symbolic link", &|image| image.symlink("rootfs/out", "/").file("rootfs/out/x", b"dead")),
            ("symbolic link", &|image| {
                image.symlink("rootfs/a", ".").symlink("rootfs/a/b", "..").file("rootfs/a/b/x", b"dead")
            }),
            ("symbolic link", &|image| {
                image.symlink("rootfs/out", "/tmp").entry(EntryType::Directory, "rootfs/out", "", b"")
            }),
            ("symbolic link", &|image| image.symlink("rootfs/out", "/tmp").symlink("rootfs/out/x", "y")),
            ("symbolic link", &|image| {
                image.symlink("rootfs/out", "../../../..").link("rootfs/canary", "rootfs/out/canary")
            }),
            ("hard link", &|image| image.link("rootfs/x", "metadata.yaml")),
            ("hard link", &|image| image.link("rootfs/x", "elsewhere/file")),
            ("not a plain file", &|image| image.link("templates/x", "rootfs")),
            ("hard link", &|image| image.link("rootfs/x", canary)),
            ("hard link", &|image| image.link("rootfs/x", "rootfs/../../../../canary")),
            ("hard link", &|image| image.link("rootfs/x", "rootfs/not-there")),
            ("directory", &|image| image.file("rootfs/f", b"").file("rootfs/f/x", b"dead")),
            ("replaces the directory", &|image| {
                image.entry(EntryType::Directory, "rootfs/d", "", b"").symlink("rootfs/d", "/")
            }),
        ];
        for (number, (word, attack)) in attacks.into_iter().enumerate() {
            let mut image = Forged::new(pool.place.path(), &format!("evil{number}"));
            attack(&mut image);
            assert_refused(pool, &image.finish(), word).await;
        }
    });
}

#[test]
fn a_file_written_over_a_link_replaces_the_link() {
    with_pool(async |pool| {
        let canary = pool.place.path().join("canary");
        fs::write(&canary, b"sings").unwrap();
        let mut image = Forged::new(pool.place.path(), "image");
        image.symlink("rootfs/x", canary.to_str().unwrap()).file("rootfs/x", b"mine");
        image.file("rootfs/one", b"1").link("rootfs/two", "rootfs/one").file("rootfs/two", b"2");
        pool.unpack("image/over", &image.finish(), None).await.unwrap();
        assert_eq!(fs::read(&canary).unwrap(), b"sings");
        assert!(fs::symlink_metadata(pool.volume("image/over/rootfs/x")).unwrap().is_file());
        assert_eq!(fs::read(pool.volume("image/over/rootfs/one")).unwrap(), b"1");
    });
}

#[test]
fn what_hull_reads_later_is_never_a_link_or_device() {
    with_pool(async |pool| {
        let place = pool.place.path();
        let attacks: [(&str, Attack); 10] = [
            ("not a plain file", &|image| image.symlink("metadata.yaml", "/etc/shadow")),
            ("not a plain file", &|image| image.entry(EntryType::Fifo, "metadata.yaml", "", b"")),
            ("not a plain file", &|image| image.entry(EntryType::Directory, "metadata.yaml", "", b"")),
            ("larger than 1 MiB", &|image| image.file("metadata.yaml", &vec![b'#'; (1 << 20) + 1])),
            ("not a directory", &|image| image.file("metadata.yaml", b"a: b").symlink("rootfs", "/etc")),
            ("not a directory", &|image| image.file("metadata.yaml", b"a: b").file("rootfs", b"")),
            ("not a plain file", &|image| image.symlink("templates", "/etc")),
            ("not a directory", &|image| {
                image.file("metadata.yaml", b"a: b").file("rootfs/x", b"").file("templates", b"")
            }),
            ("not a plain file", &|image| image.symlink("templates/hostname.tpl", "/etc/shadow")),
            ("no root file system", &|image| image.file("metadata.yaml", METADATA.as_bytes())),
        ];
        for (number, (word, attack)) in attacks.into_iter().enumerate() {
            let mut image = Forged::empty(place, &format!("evil{number}"));
            attack(&mut image);
            assert_refused(pool, &image.finish(), word).await;
        }
        let mut image = Forged::empty(place, "no-metadata");
        image.file("rootfs/x", b"");
        assert_refused(pool, &image.finish(), "no metadata.yaml").await;
    });
}

#[test]
fn bombs_end_at_their_limits() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            for number in 0..50 {
                fs::write(root.join(format!("f{number}")), vec![b'x'; 100_000]).unwrap();
            }
        });
        let (unified, metadata) = (pool.place.path().join("bomb.tar.zst"), pool.place.path().join("metadata.tar"));
        let rootfs = pool.place.path().join("bomb.squashfs");
        pack(&image, &unified, &["--zstd"], &["metadata.yaml", "rootfs"]);
        pack(&image, &metadata, &[], &["metadata.yaml"]);
        squash(&image.join("rootfs"), &rootfs, &[]);
        for (metadata, rootfs) in [(&unified, None), (&metadata, Some(rootfs.as_path()))] {
            for (limits, word) in [((1_000_000, MANY), "1000000 bytes"), ((MANY, 20), "20 files")] {
                let error = pool.unpack_within("image/bomb", metadata, rootfs, limits).await.unwrap_err();
                assert_eq!(error.code, Code::Corrupt, "{error}");
                assert!(error.to_string().contains(word), "{error}");
                assert_eq!(names(&pool.path("making")), [] as [String; 0]);
            }
            pool.unpack_within("image/fits", metadata, rootfs, (5_001_000, 60)).await.unwrap();
            pool.delete("image/fits").await.unwrap();
        }
        // Headers without end, with nothing in them that would count: gigabytes of them in a few hundred kilobytes.
        let mut headers = Forged::new(pool.place.path(), "headers");
        let comment = b"20 comment=nonsense\n";
        headers.entry(EntryType::XGlobalHeader, "g", "", comment);
        let whole = headers.finish();
        let plain = fs::read(&whole).unwrap();
        let block = &plain[plain.len() - 2048..plain.len() - 1024];
        let endless = [&plain[..plain.len() - 1024], &block.repeat(100_000)].concat();
        let path = pool.place.path().join("endless.tar");
        fs::write(&path, endless).unwrap();
        let error = pool.unpack_within("image/endless", &path, None, (1 << 20, 16)).await.unwrap_err();
        assert_eq!(error.code, Code::Corrupt, "{error}");
    });
}

#[test]
fn truncated_and_damaged_files_are_refused() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            for number in 0..40u32 {
                let noise: Vec<u8> =
                    (0..20_000u32).map(|at| ((at + number).wrapping_mul(2_654_435_761) >> 11) as u8).collect();
                fs::write(root.join(format!("f{number}")), noise).unwrap();
            }
        });
        for (name, options) in [("t.gz", "-z"), ("t.xz", "-J"), ("t.zst", "--zstd"), ("t.bz2", "-j"), ("t.tar", "-S")] {
            let file = pool.place.path().join(name);
            pack(&image, &file, &[options], &["metadata.yaml", "rootfs"]);
            let length = fs::metadata(&file).unwrap().len() as usize;
            for length in [1, 100, length / 2, length - if name == "t.tar" { 20_000 } else { 5 }] {
                assert_refused(pool, &cut(&file, length), "").await;
            }
            if name != "t.tar" {
                assert_refused(pool, &damaged(&file, length / 2), "").await;
            }
        }
        let metadata = pool.place.path().join("metadata.tar");
        pack(&image, &metadata, &[], &["metadata.yaml"]);
        let file = pool.place.path().join("t.squashfs");
        squash(&image.join("rootfs"), &file, &[]);
        let used = u64::from_le_bytes(fs::read(&file).unwrap()[40..48].try_into().unwrap()) as usize;
        for length in [50, 200, used / 2, used - 1] {
            assert_refused_split(pool, &metadata, Some(&cut(&file, length)), "").await;
        }
        let text = pool.place.path().join("text");
        fs::write(&text, "this is no image at all").unwrap();
        assert_refused(pool, &text, "neither a tarball").await;
        fs::write(&text, "").unwrap();
        assert_refused(pool, &text, "empty").await;
        assert_refused(pool, &file, "no metadata").await;
    });
}

/// Every byte of the tables, one after another: whatever comes of it, the driver answers and nothing is left.
#[test]
fn a_squashfs_damaged_anywhere_never_does_harm() {
    with_pool(async |pool| {
        let image = lay_out(pool.place.path(), "image", |root| {
            fs::create_dir_all(root.join("a/b")).unwrap();
            fs::write(root.join("a/b/file"), b"content").unwrap();
            xattr::set(root.join("a/b/file"), "user.x", b"y").unwrap();
            std::os::unix::fs::symlink("b", root.join("a/link")).unwrap();
        });
        let metadata = pool.place.path().join("metadata.tar");
        pack(&image, &metadata, &[], &["metadata.yaml"]);
        let file = pool.place.path().join("t.squashfs");
        squash(&image.join("rootfs"), &file, &["-noI", "-noX", "-noF", "-noD"]);
        let used = u64::from_le_bytes(fs::read(&file).unwrap()[40..48].try_into().unwrap()) as usize;
        let mut refused = 0;
        for at in 0..used {
            let bad = damaged(&file, at);
            match pool.unpack_within("image/evil", &metadata, Some(&bad), (1 << 20, 1000)).await {
                Ok(()) => pool.delete("image/evil").await.unwrap(),
                Err(error) => {
                    assert!(matches!(error.code, Code::Corrupt | Code::Unsupported), "byte {at}: {error}");
                    refused += 1;
                }
            }
            assert_eq!(names(&pool.path("making")), [] as [String; 0], "byte {at}");
            fs::remove_file(bad).unwrap();
        }
        assert!(refused > used / 4, "{refused} of {used}");
    });
}
