//! Getting namespaces ready for a container.

use std::rc::Rc;

use hull_plugin::instance::{Preparation, Prepared as Answer};
use hull_plugin::{DriverError, NetworkNamespaceFd, UserNamespaceFd};
use instance_container::order::CellOrder;

use crate::cgroup;
use crate::driver::Container;
use crate::table::{Phase, Prepared, Running, duplicate};

impl Container {
    pub(crate) async fn prepare(&self, preparation: Preparation) -> Result<Answer, DriverError> {
        let entry = self.table().entry(&preparation.instance);
        let _turn = entry.turn.lock().await;
        if let Some(running) = entry.running().filter(|running| running.is_alive()) {
            return namespaces_of(&running);
        }
        let same = |old: &Rc<Prepared>| old.idmap == preparation.idmap && old.cgroup == preparation.cgroup;
        if let Some(prepared) = entry.prepared().filter(same) {
            return answer(&prepared);
        }
        let groups = cgroup::groups(&preparation.cgroup)?;
        let cell = self.cells().take(&preparation.idmap).await?;
        // Not waited for: it joins while Hull mounts volumes and connects networks.
        cell.channel.send(&CellOrder::Join { legacy: groups.legacy, unified: groups.unified }, &[]).await?;
        let prepared = Rc::new(Prepared {
            cell,
            idmap: preparation.idmap,
            cgroup: preparation.cgroup,
            mounts: Default::default(),
        });
        entry.phase.replace(Phase::Prepared(Rc::clone(&prepared)));
        answer(&prepared)
    }
}

fn answer(prepared: &Prepared) -> Result<Answer, DriverError> {
    Ok(Answer {
        user_namespace: Some(UserNamespaceFd::new(duplicate(&prepared.cell.user_namespace)?)),
        network_namespace: NetworkNamespaceFd::new(duplicate(&prepared.cell.network_namespace)?),
    })
}

fn namespaces_of(running: &Running) -> Result<Answer, DriverError> {
    let open = |kind: &str| {
        let path = format!("/proc/{}/ns/{kind}", running.record.pid);
        std::fs::File::open(&path).map_err(|error| DriverError::system(&error, format!("cannot open `{path}`")))
    };
    Ok(Answer {
        user_namespace: Some(UserNamespaceFd::new(open("user")?)),
        network_namespace: NetworkNamespaceFd::new(open("net")?),
    })
}
