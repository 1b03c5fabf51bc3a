//! `PUT /1.0/instances`: one change of state for all instances that it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;

use hull_api::InstanceStatePut;
use serde::Deserialize;

use super::power::Verb;
use super::registry::{Entry, Live};
use crate::api::{ApiError, Reply};
use crate::hull::Hull;
use crate::operations::{Class, Handle, Spec};

/// What a client asks for all of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InstancesPut {
    state: InstanceStatePut,
}

/// Each is changed as if it had been asked for alone, all at the same time; the operation fails if one of them does.
pub(super) fn change(hull: &Hull, put: &InstancesPut) -> Reply {
    let verb = Verb::of(&put.state)?;
    let mut concerned = hull.instances.all();
    concerned.retain(|entry| concerns(verb, &entry.live()));
    let urls = concerned.iter().map(|entry| entry.record().name.url()).collect();
    let spec = Spec {
        class: Class::Task,
        description: verb.description().into(),
        resources: BTreeMap::from([("instances".to_owned(), urls)]),
        may_cancel: false,
        load: None,
    };
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |operation| async move {
        let changes = concerned.iter().map(|entry| one(&hull_for_task, verb, entry, &operation));
        let failed: Vec<String> =
            futures::future::join_all(changes).await.into_iter().filter_map(Result::err).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => {
                Err(ApiError::internal(format!("The following instances failed to update state:\n{}", failed.concat())))
            }
        }
    })
}

async fn one(hull: &Hull, verb: Verb, entry: &Arc<Entry>, operation: &Handle) -> Result<(), String> {
    let name = entry.record().name.clone();
    let changed = async {
        let busy = verb.claim(entry)?;
        verb.check(entry)?;
        verb.run(hull, entry, &busy, operation).await
    };
    changed.await.map_err(|error| format!(" - Instance: {name}: {error}\n"))
}

fn concerns(verb: Verb, live: &Live) -> bool {
    match verb {
        Verb::Start => matches!(live, Live::Stopped),
        Verb::Unfreeze => matches!(live, Live::Frozen(_)),
        Verb::Stop(_) | Verb::Restart(_) => !matches!(live, Live::Stopped),
        Verb::Freeze => matches!(live, Live::Running(_)),
    }
}
