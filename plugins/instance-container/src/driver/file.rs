//! The files of a container, running or not.

use std::os::fd::OwnedFd;

use hull_plugin::instance::{FileContent, FileFound, FilesAt, NewFile, NewFileKind};
use hull_plugin::{Code, DriverError, FileFd, InstanceId, MemoryFd};
use instance_container::order::{FileWork, Found, Order, Place, Report, WriteKind};

use crate::driver::Container;
use crate::table::duplicate;

impl Container {
    pub(crate) async fn read_file(&self, at: FilesAt) -> Result<FileFound, DriverError> {
        let (report, descriptor) = self.file_work(at, FileWork::Read).await?;
        let Report::File { user, group, mode, found } = report else { return Err(out_of_turn()) };
        let content = match (found, descriptor) {
            (Found::Link(target), _) => FileContent::Link(target),
            (Found::File { size }, Some(file)) => FileContent::File(FileFd::new(file), size),
            (Found::Directory, Some(names)) => FileContent::Directory(MemoryFd::new(names)),
            _ => return Err(out_of_turn()),
        };
        Ok(FileFound { user, group, mode, content })
    }

    pub(crate) async fn write_file(&self, at: FilesAt, file: NewFile) -> Result<Option<FileFd>, DriverError> {
        let kind = match file.kind {
            NewFileKind::File => WriteKind::Truncate,
            NewFileKind::Append => WriteKind::Append,
            NewFileKind::Directory => WriteKind::Directory,
            NewFileKind::Link(target) => WriteKind::Link(target),
        };
        let work = FileWork::Write { kind, user: file.user, group: file.group, mode: file.mode };
        let (_, descriptor) = self.file_work(at, work).await?;
        Ok(descriptor.map(FileFd::new))
    }

    pub(crate) async fn delete_file(&self, at: FilesAt) -> Result<(), DriverError> {
        self.file_work(at, FileWork::Delete).await.map(drop)
    }

    async fn file_work(&self, at: FilesAt, work: FileWork) -> Result<(Report, Option<OwnedFd>), DriverError> {
        if !at.path.starts_with('/') {
            return Err(DriverError::invalid("path", format!("`{}` is no absolute path", at.path)));
        }
        let (place, descriptors) = match at.stopped_root {
            None => (Place::Running, vec![self.table().running(&at.instance)?.init()?]),
            Some(root) => (Place::Stopped, vec![self.volume_namespace(&at.instance).await?, root.into_owned()]),
        };
        let channel = self.helper().order(&Order::File { place, path: at.path, work }, descriptors)?;
        let (report, mut descriptors) = channel.answer("work on a file").await.map_err(at_path)?;
        Ok((report, descriptors.pop()))
    }

    /// The user namespace in which a stopped container's volume has the container's ids: that it was prepared with, or
    /// the usual one.
    async fn volume_namespace(&self, id: &InstanceId) -> Result<OwnedFd, DriverError> {
        if let Some(prepared) = self.table().prepared(id) {
            return duplicate(&prepared.cell.user_namespace);
        }
        if let Some(kept) = &*self.volumes().borrow() {
            return duplicate(kept);
        }
        let cell = self.cells().take(&self.cells().default_map()).await?;
        let answer = duplicate(&cell.user_namespace)?;
        self.volumes().replace(Some(cell.user_namespace));
        Ok(answer)
    }
}

/// Which of the call's objects is not there.
fn at_path(error: DriverError) -> DriverError {
    match error.code {
        Code::NotFound => DriverError { key: Some("path".into()), ..error },
        _ => error,
    }
}

fn out_of_turn() -> DriverError {
    DriverError::new(Code::Internal, "hull-init answered out of turn")
}
