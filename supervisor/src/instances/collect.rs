//! Control groups that belong to no running instance, left by a crash at the wrong moment: ended and removed.

use super::model::InstanceName;
use super::registry::Live;
use crate::hull::Hull;

/// How long what is still in such a group may take to die.
const DYING: std::time::Duration = std::time::Duration::from_secs(2);

/// Once cut plans are taken up. An instance somebody is at work on is left to them.
pub(crate) async fn collect(hull: &Hull) {
    hull.recovery.settled().await;
    for name in hull.cgroups.instances() {
        let Ok(instance) = name.parse::<InstanceName>() else {
            tracing::warn!(group = name, "a control group among those of the instances has no instance's name");
            continue;
        };
        hull.instances.recovered(&name).await;
        match hull.instances.get(&instance) {
            Ok(entry) => {
                let Ok(_busy) = entry.claim("recovery") else { continue };
                if matches!(entry.live(), Live::Stopped) {
                    remove(hull, &name).await;
                }
            }
            Err(_) => {
                let Ok(_reserved) = hull.instances.reserve(&instance) else { continue };
                remove(hull, &name).await;
            }
        }
    }
}

async fn remove(hull: &Hull, name: &str) {
    tracing::info!(instance = name, "removing the control group of an instance that does not run");
    let group = hull.cgroups.instance(name);
    let emptied = group.kill_all(DYING).await;
    let removed = match emptied {
        Ok(()) => group.remove().await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        tracing::warn!(instance = name, error = crate::plugins::chain(&error), "cannot remove the control group");
    }
}
