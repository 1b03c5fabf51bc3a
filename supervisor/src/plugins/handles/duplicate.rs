//! A second copy of a call's arguments, so that the call can be repeated after a crash: descriptors are duplicated.

use std::io;

use hull_plugin::image::{ImageQuery, ImageSinks, SourceImage};
use hull_plugin::instance::{
    ExecSpec, ExecStreams, FilesAt, IdMap, InstanceSpec, MountSpec, NewFile, Preparation, StopSignal, TerminalSize,
};
use hull_plugin::network::{NetworkSpec, NicSpec, NicTarget};
use hull_plugin::storage::{ContentKind, ImageFiles, NewVolume, VolumeSource};
use hull_plugin::{
    ConfigMap, DeviceName, Fd, Fingerprint, Handle, InstanceId, NetworkName, OperationId, PoolName, VolumeName,
};

/// What can be sent more than once.
pub(crate) trait Duplicate {
    type Owned;
    /// # Errors
    /// The process has no descriptor left.
    fn duplicate(&self) -> io::Result<Self::Owned>;
}

macro_rules! by_clone {
    ($($type:ty),* $(,)?) => {$(
        impl Duplicate for $type {
            type Owned = $type;
            fn duplicate(&self) -> io::Result<$type> {
                Ok(self.clone())
            }
        }
    )*};
}

by_clone! {
    bool, u64, ConfigMap, ContentKind, DeviceName, ExecSpec, Fingerprint, Handle, IdMap, ImageQuery, InstanceId,
    InstanceSpec, MountSpec, NetworkName, NetworkSpec, NewFile, NicSpec, OperationId, PoolName, SourceImage, StopSignal,
    String, TerminalSize, VolumeName,
}

impl Duplicate for str {
    type Owned = String;
    fn duplicate(&self) -> io::Result<String> {
        Ok(self.to_owned())
    }
}

impl<T: Duplicate> Duplicate for [T] {
    type Owned = Vec<T::Owned>;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        self.iter().map(Duplicate::duplicate).collect()
    }
}

impl<T: Duplicate> Duplicate for Option<T> {
    type Owned = Option<T::Owned>;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        self.as_ref().map(Duplicate::duplicate).transpose()
    }
}

impl<T: Duplicate + ?Sized> Duplicate for &T {
    type Owned = T::Owned;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        (**self).duplicate()
    }
}

impl<K> Duplicate for Fd<K> {
    type Owned = Fd<K>;
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Duplicate for ImageFiles {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self { metadata, rootfs, max_bytes, max_inodes } = self;
        Ok(Self {
            metadata: metadata.duplicate()?,
            rootfs: rootfs.duplicate()?,
            max_bytes: *max_bytes,
            max_inodes: *max_inodes,
        })
    }
}

impl Duplicate for NewVolume {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let source = match &self.source {
            VolumeSource::Empty => VolumeSource::Empty,
            VolumeSource::Image(files) => VolumeSource::Image(files.duplicate()?),
            VolumeSource::Volume(name) => VolumeSource::Volume(name.clone()),
        };
        Ok(Self { name: self.name.clone(), content: self.content, config: self.config.clone(), source })
    }
}

impl Duplicate for ImageSinks {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { metadata: self.metadata.duplicate()?, rootfs: self.rootfs.duplicate()? })
    }
}

impl Duplicate for NicTarget {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self::Namespace(fd) = self;
        Ok(Self::Namespace(fd.duplicate()?))
    }
}

impl Duplicate for Preparation {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self { instance, idmap, cgroup } = self;
        Ok(Self { instance: instance.clone(), idmap: idmap.clone(), cgroup: cgroup.clone() })
    }
}

impl Duplicate for ExecStreams {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Terminal(size) => Self::Terminal(*size),
            Self::Pipes => Self::Pipes,
            Self::Given { stdin, stdout, stderr } => {
                Self::Given { stdin: stdin.duplicate()?, stdout: stdout.duplicate()?, stderr: stderr.duplicate()? }
            }
        })
    }
}

impl Duplicate for FilesAt {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self { instance, stopped_root, path } = self;
        Ok(Self { instance: instance.clone(), stopped_root: stopped_root.duplicate()?, path: path.clone() })
    }
}
