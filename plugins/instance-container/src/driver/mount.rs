//! Mounts inside containers beside the root.

use std::os::fd::OwnedFd;

use hull_plugin::instance::MountSpec;
use hull_plugin::{Code, DriverError, InstanceId, MountFd};
use instance_container::order::{Access, CellOrder, MountPoint, Order};

use crate::cell::Cell;
use crate::driver::Container;
use crate::table::duplicate;

impl Container {
    pub(crate) async fn attach_mount(
        &self,
        id: &InstanceId,
        spec: MountSpec,
        mount: MountFd,
    ) -> Result<(), DriverError> {
        let entry = self.table().entry(id);
        let _turn = entry.turn.lock().await;
        let point = MountPoint { path: spec.path.clone(), read_only: spec.read_only };
        if let Some(prepared) = entry.prepared() {
            if prepared.mounts.borrow().contains(&spec.path) {
                return Ok(());
            }
            let mount = self.locked(&prepared.cell, point.access(), mount).await?;
            prepared.cell.channel.send(&CellOrder::Mount(point), &[mount]).await?;
            prepared.mounts.borrow_mut().insert(spec.path);
            return Ok(());
        }
        let running = self.table().running(id).map_err(|_| {
            DriverError::new(Code::Unavailable, format!("instance `{id}` is neither prepared nor running"))
        })?;
        let channel = self.helper().order(&Order::Mount(point), vec![running.init()?, mount.into_owned()])?;
        channel.answer("mount").await.map(drop)
    }

    pub(crate) async fn detach_mount(&self, id: &InstanceId, path: String) -> Result<(), DriverError> {
        let Ok(running) = self.table().running(id) else { return Ok(()) };
        let channel = self.helper().order(&Order::Unmount { path }, vec![running.init()?])?;
        match channel.answer("unmount").await {
            Err(error) if error.code == Code::NotFound => Ok(()), // not even the directory is there
            result => result.map(drop),
        }
    }

    /// The mount with attributes that the cell's container cannot take off.
    pub(crate) async fn locked(&self, cell: &Cell, access: Access, mount: MountFd) -> Result<OwnedFd, DriverError> {
        let user_namespace = duplicate(&cell.user_namespace)?;
        let channel = self.helper().order(&Order::Lock(access), vec![user_namespace, mount.into_owned()])?;
        let (_, mut descriptors) = channel.answer("lock a mount").await?;
        descriptors.pop().ok_or_else(|| DriverError::new(Code::Internal, "hull-init answered without the mount"))
    }
}
