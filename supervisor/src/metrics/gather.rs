//! All of it at once.

use std::sync::Arc;

use super::text::Metrics;
use super::{daemon, instance, plugin};
use crate::hull::Hull;
use crate::instances::Entry;

/// Reads what there is now; `instances`: also of the instances.
pub(super) async fn gather(hull: &Hull, instances: bool) -> Metrics {
    let mut metrics = Metrics::default();
    let running: Vec<Arc<Entry>> = match instances {
        true => hull.instances.all().into_iter().filter(|entry| entry.live().running().is_some()).collect(),
        false => Vec::new(),
    };
    let (figures, plugins) = tokio::join!(instance::figures(hull, &running), hull.plugins.statistics());
    for one in &figures {
        instance::add(&mut metrics, one);
    }
    plugin::add(&mut metrics, hull, &plugins);
    daemon::add(&mut metrics, hull);
    metrics
}
