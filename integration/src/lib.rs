//! What the stories in `tests/` are told with: a host with a daemon of its own, images, instances, and a look for leaks.
//!
//! Every [`Host`] has a private directory and a daemon that is ended with it, so stories run beside each other. With
//! `HULL_TEST_TARGET=lxd` the same stories run against real LXD: one that LXD fails is a wrong story.

mod command;
mod cut;
mod daemon;
mod demolish;
mod disk;
mod fault;
pub mod faults;
mod host;
mod image;
mod leaks;
pub mod load;
mod rest;
mod websocket;

pub use command::{Finished, run, until};
pub use cut::{Campaign, Report};
pub use daemon::{Settings, Target, programs};
pub use disk::Disk;
pub use host::{Host, Instance};
pub use image::fingerprint;
pub use rest::{Answer, KeepAlive, Rest};
pub use websocket::Websocket;
