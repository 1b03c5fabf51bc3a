//! Mounts inside containers beside the root.

use hull_plugin::instance::MountSpec;
use hull_plugin::{Code, DriverError, InstanceId, MountFd};
use instance_container::order::{CellOrder, MountPoint, Order};

use crate::driver::Container;

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
            prepared.cell.channel.send(&CellOrder::Mount(point), &[mount.into_owned()]).await?;
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
}
