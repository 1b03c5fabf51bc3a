//! The arguments of a call: which object it is about, for errors, and a second copy of each, so that the call can be repeated
//! after a crash (descriptors are duplicated).

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

/// What can be sent more than once and named.
pub(crate) trait Argument {
    type Owned;
    /// # Errors
    /// The process has no descriptor left.
    fn duplicate(&self) -> io::Result<Self::Owned>;

    /// What a call with this argument is about, as errors name it.
    fn object(&self) -> Option<String> {
        None
    }
}

/// What a call with these arguments is about: `instance `web`, device `eth0``.
pub(crate) fn listed(objects: &[Option<String>]) -> Option<String> {
    let named: Vec<&str> = objects.iter().flatten().map(String::as_str).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// `TYPE` is copied; `TYPE: argument => text` also says what the call is about.
macro_rules! by_clone {
    ($($type:ty $(: $argument:ident => $object:expr)?),* $(,)?) => {$(
        impl Argument for $type {
            type Owned = $type;
            fn duplicate(&self) -> io::Result<$type> {
                Ok(self.clone())
            }
            $(
                fn object(&self) -> Option<String> {
                    let $argument = self;
                    Some($object)
                }
            )?
        }
    )*};
}

by_clone! {
    bool, u64, ConfigMap, ContentKind, Fingerprint, Handle, IdMap, NewFile, OperationId, SourceImage, StopSignal, String,
    TerminalSize,
    DeviceName: device => format!("device `{device}`"),
    ExecSpec: spec => format!("instance `{}`", spec.instance),
    ImageQuery: query => format!("image `{}`", query.alias),
    InstanceId: instance => format!("instance `{instance}`"),
    InstanceSpec: spec => format!("instance `{}`", spec.instance),
    MountSpec: mount => format!("`{}`", mount.path),
    NetworkName: network => format!("network `{network}`"),
    NetworkSpec: spec => format!("network `{}`", spec.name),
    NicSpec: nic => format!("device `{}` of instance `{}`", nic.device, nic.instance),
    PoolName: pool => format!("pool `{pool}`"),
    VolumeName: volume => format!("volume `{volume}`"),
}

impl Argument for str {
    type Owned = String;
    fn duplicate(&self) -> io::Result<String> {
        Ok(self.to_owned())
    }
}

impl<T: Argument> Argument for [T] {
    type Owned = Vec<T::Owned>;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        self.iter().map(Argument::duplicate).collect()
    }
}

impl<T: Argument> Argument for Option<T> {
    type Owned = Option<T::Owned>;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        self.as_ref().map(Argument::duplicate).transpose()
    }
}

impl<T: Argument + ?Sized> Argument for &T {
    type Owned = T::Owned;
    fn duplicate(&self) -> io::Result<Self::Owned> {
        (**self).duplicate()
    }

    fn object(&self) -> Option<String> {
        (**self).object()
    }
}

impl<K> Argument for Fd<K> {
    type Owned = Fd<K>;
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Argument for ImageFiles {
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

impl Argument for NewVolume {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let source = match &self.source {
            VolumeSource::Empty => VolumeSource::Empty,
            VolumeSource::Image(files) => VolumeSource::Image(files.duplicate()?),
            VolumeSource::Volume(name) => VolumeSource::Volume(name.clone()),
        };
        Ok(Self { name: self.name.clone(), content: self.content, config: self.config.clone(), source })
    }

    fn object(&self) -> Option<String> {
        self.name.object()
    }
}

impl Argument for ImageSinks {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { metadata: self.metadata.duplicate()?, rootfs: self.rootfs.duplicate()? })
    }
}

impl Argument for NicTarget {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self::Namespace(fd) = self;
        Ok(Self::Namespace(fd.duplicate()?))
    }
}

impl Argument for Preparation {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self { instance, idmap, cgroup } = self;
        Ok(Self { instance: instance.clone(), idmap: idmap.clone(), cgroup: cgroup.clone() })
    }

    fn object(&self) -> Option<String> {
        self.instance.object()
    }
}

impl Argument for ExecStreams {
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

impl Argument for FilesAt {
    type Owned = Self;
    fn duplicate(&self) -> io::Result<Self> {
        let Self { instance, stopped_root, path } = self;
        Ok(Self { instance: instance.clone(), stopped_root: stopped_root.duplicate()?, path: path.clone() })
    }

    fn object(&self) -> Option<String> {
        Some(format!("`{}` in instance `{}`", self.path, self.instance))
    }
}
