//! Devices of instances and profiles: the same verbs on two holders.

mod add;
mod holder;
mod key;
mod list;
mod over;
mod remove;
mod show;
mod verbs;

pub(crate) use verbs::{InstanceDevice, ProfileDevice};
