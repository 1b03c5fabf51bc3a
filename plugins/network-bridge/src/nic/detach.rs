//! Disconnecting an instance, or forgetting one that is gone.

use hull_plugin::DriverError;

use super::hosts::forget_host;
use crate::driver::Open;
use crate::state::NicRecord;

/// What becomes of the host's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    /// Deleted if the instance's namespace lives; left to die with it otherwise, since deleting costs 26 ms.
    Leave,
    /// Deleted, whatever that costs.
    Delete,
}

pub(crate) async fn detach(open: &Open, instance: &str, device: &str) -> Result<(), DriverError> {
    match open.state.nic(instance, device) {
        Some(record) => forget(open, &record, Near::Leave).await,
        None => Ok(()),
    }
}

/// Takes away all that a record tells of. Goes on after a failure; the record stays until the rest is gone.
pub(crate) async fn forget(open: &Open, record: &NicRecord, near: Near) -> Result<(), DriverError> {
    let steps = [
        forget_host(open, record),
        forget_routes(open, record).await,
        remove_near(open, record, near).await,
        remove_shaper(open, record).await,
        remove_guard(open, record).await,
    ];
    let mut failures = steps.into_iter().filter_map(Result::err);
    match failures.next() {
        None => open.state.forget_nic(record),
        Some(first) => Err(failures.fold(first, |error, also| error.because(format!("and {also}")))),
    }
}

async fn remove_near(open: &Open, record: &NicRecord, near: Near) -> Result<(), DriverError> {
    // While the kernel takes a namespace down, any question about links waits for it (20 ms and more).
    let gone = |id| matches!(hull_sys::netlink::has_namespace(id), Ok(false));
    if near == Near::Leave && record.namespace.is_some_and(gone) {
        return Ok(());
    }
    let Some(link) = open.links.find(&record.host_interface).await? else { return Ok(()) };
    if link.alias != open.state.mark() && !link.alias.is_empty() {
        return Ok(()); // somebody else's by now
    }
    if near == Near::Delete || open.links.peer_lives(&link).await {
        open.links.delete(&link).await?;
    }
    Ok(())
}

async fn remove_shaper(open: &Open, record: &NicRecord) -> Result<(), DriverError> {
    let Some(name) = &record.shaper else { return Ok(()) };
    if let Some(link) = open.links.find(name).await? {
        open.links.delete(&link).await?;
    }
    Ok(())
}

async fn remove_guard(open: &Open, record: &NicRecord) -> Result<(), DriverError> {
    if record.guarded {
        open.firewall.remove_guard(&record.host_interface).await?;
    }
    Ok(())
}

async fn forget_routes(open: &Open, record: &NicRecord) -> Result<(), DriverError> {
    if record.routes.is_empty() {
        return Ok(());
    }
    let Some(bridge) = open.links.find(&record.bridge).await? else { return Ok(()) };
    for net in &record.routes {
        open.links.remove_route(&bridge, *net).await?;
    }
    Ok(())
}
