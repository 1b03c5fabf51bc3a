//! What no process of a container may do, applied while it is still root inside and just before it executes its program.

use hull_sys::fork;
use instance_container::order::Confinement;

use crate::failure::{Doing, Outcome};

pub(crate) fn apply(confinement: &Confinement) -> Outcome {
    fork::drop_capabilities(&confinement.dropped_capabilities).doing(|| "drop capabilities".into())?;
    for &(resource, soft, hard) in &confinement.limits {
        fork::limit_resource(resource, soft, hard)
            .doing(|| format!("set resource limit {resource} to {soft}:{hard}"))?;
    }
    if !confinement.filter.is_empty() {
        fork::install_filter(&confinement.filter).doing(|| "install the system call filter".into())?;
    }
    Ok(())
}
