//! Files are read and written with the container's ids, and no path leads out of it.
#![allow(clippy::unwrap_used, clippy::panic)] // `Files` fails its test by panicking

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};

use hull_plugin::instance::*;
use hull_plugin::testing::context;
use hull_plugin::{Code, DriverError, InstanceId, MountFd};
use support::{Fixture, read_all, with_driver};

struct Files<'a> {
    hull: &'a Fixture,
    id: InstanceId,
    /// For a stopped instance.
    root: Option<MountFd>,
}

impl Files<'_> {
    fn at(&self, path: &str) -> FilesAt {
        let stopped_root = self.root.as_ref().map(|root| root.try_clone().unwrap());
        FilesAt { instance: self.id.clone(), stopped_root, path: path.into() }
    }

    async fn read(&self, path: &str) -> Result<FileFound, DriverError> {
        self.hull.driver().read_file(context(), self.at(path)).await.unwrap()
    }

    async fn write(&self, path: &str, kind: NewFileKind, ids: Option<u32>, mode: Option<u32>, text: &str) {
        let new = NewFile { kind, user: ids, group: ids, mode };
        if let Some(file) = self.hull.driver().write_file(context(), self.at(path), new).await.unwrap().unwrap() {
            fs::File::from(file.into_owned()).write_all(text.as_bytes()).unwrap();
        }
    }

    async fn text(&self, path: &str) -> String {
        let FileContent::File(file, size) = self.read(path).await.unwrap().content else { panic!("{path} is no file") };
        let mut text = String::new();
        let read = fs::File::from(file.into_owned()).read_to_string(&mut text).unwrap();
        assert_eq!(read as u64, size);
        text
    }

    /// What every container's files do.
    async fn behave(&self, disk: &std::path::Path) {
        self.write("/tmp/new", NewFileKind::File, None, None, "one").await;
        self.write("/tmp/new", NewFileKind::Append, None, None, "two").await;
        assert_eq!(self.text("/tmp/new").await, "onetwo");
        let on_disk = disk.join("tmp/new").metadata().unwrap();
        assert_eq!((on_disk.uid(), on_disk.gid(), on_disk.mode() & 0o7777), (0, 0, 0o644));
        self.write("/tmp/new", NewFileKind::File, Some(1000), Some(0o4750), "x").await;
        let found = self.read("/tmp/new").await.unwrap();
        assert_eq!((found.user, found.group, found.mode), (1000, 1000, 0o4750));
        assert_eq!(disk.join("tmp/new").metadata().unwrap().uid(), 1000);

        self.write("/tmp/dir", NewFileKind::Directory, None, Some(0o700), "").await;
        self.write("/tmp/dir/b", NewFileKind::File, None, None, "").await;
        self.write("/tmp/dir/a", NewFileKind::Link("../new".into()), None, None, "").await;
        let found = self.read("/tmp/dir").await.unwrap();
        let FileContent::Directory(names) = found.content else { panic!("no directory") };
        assert_eq!((read_all(names.into_owned()).await.as_str(), found.mode), (r#"["a","b"]"#, 0o700));
        let FileContent::Link(target) = self.read("/tmp/dir/a").await.unwrap().content else { panic!("no link") };
        assert_eq!(target, "../new");

        let delete = async |path| self.hull.driver().delete_file(context(), self.at(path)).await.unwrap();
        assert!(delete("/tmp/dir").await.is_err(), "it is not empty");
        for path in ["/tmp/dir/a", "/tmp/dir/b", "/tmp/dir"] {
            delete(path).await.unwrap();
        }
        let gone = delete("/tmp/dir").await.unwrap_err();
        assert_eq!((gone.code, gone.key.as_deref()), (Code::NotFound, Some("path")));
        assert_eq!(self.read("/tmp/dir").await.unwrap_err().code, Code::NotFound);
        assert!(disk.join("tmp/new").exists(), "a link's target stays");
    }

    /// Paths and links that point to the host.
    async fn stay_inside(&self, disk: &std::path::Path) {
        let secret = disk.parent().unwrap().join("secret");
        fs::write(&secret, "host").unwrap();
        symlink(&secret, disk.join("tmp/absolute")).unwrap();
        symlink("../../../../../../../../../../etc", disk.join("tmp/upwards")).unwrap();
        fs::write(disk.join("etc/hostname"), "inside").unwrap();
        assert_eq!(self.text("/tmp/upwards/hostname").await, "inside");
        assert_eq!(self.text("/tmp/../../../etc/hostname").await, "inside");
        let new = NewFile { kind: NewFileKind::File, user: None, group: None, mode: None };
        let result = self.hull.driver().write_file(context(), self.at("/tmp/absolute"), new).await.unwrap();
        assert!(result.is_err(), "its directory does not exist inside");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "host");
        nix::unistd::mkfifo(&disk.join("tmp/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(self.read("/tmp/pipe").await.is_err(), "a pipe must not block anybody");
    }
}

#[test]
fn files_of_a_running_container() {
    with_driver("files", async |hull| {
        let (id, _) = hull.running("c1", &[]).await;
        let disk = hull.rootfs_path("c1");
        let files = Files { hull, id, root: None };
        files.behave(&disk).await;
        files.stay_inside(&disk).await;
    });
}

#[test]
fn files_of_a_stopped_container() {
    with_driver("stopped", async |hull| {
        let disk = hull.rootfs("c1");
        let id = InstanceId::new("c1").unwrap();
        let prepared = hull.prepare(&id).await;
        let root = Some(hull.mounted(&disk, &prepared));
        let files = Files { hull, id, root };
        files.behave(&disk).await;
        files.stay_inside(&disk).await;
    });
}
