//! Deleting a network and all that was made for it.

use hull_plugin::DriverError;

use crate::config::interface_name;
use crate::dnsmasq;
use crate::driver::Open;

pub(crate) async fn delete(open: &Open, name: &str) -> Result<(), DriverError> {
    let _one_at_a_time = open.networks.lock().await;
    remove(open, name).await
}

/// Goes on after a failure and returns the first, the others with it. The record stays until everything else is gone.
pub(super) async fn remove(open: &Open, name: &str) -> Result<(), DriverError> {
    if interface_name(name).is_err() {
        return Ok(()); // no such network was ever made
    }
    let steps = [
        dnsmasq::stop(&open.host, name).await,
        open.firewall.remove_network(name).await.map_err(DriverError::from),
        remove_bridge(open, name).await,
    ];
    let mut failures = steps.into_iter().filter_map(Result::err);
    match failures.next() {
        None => open.state.forget_network(name),
        Some(first) => Err(failures.fold(first, |error, also| error.because(format!("and {also}")))),
    }
}

async fn remove_bridge(open: &Open, name: &str) -> Result<(), DriverError> {
    let known = open.state.network(name).is_some();
    let Some(link) = open.links.find(name).await? else { return Ok(()) };
    if link.alias == open.state.mark() || (known && link.alias.is_empty() && link.kind == crate::link::Kind::Bridge) {
        open.links.delete(&link).await?;
    }
    Ok(())
}
