//! What the fault campaign and its adversary say to each other: which fault, at which method, when.
//!
//! The adversary stands in a real driver's place and sandbox, runs the driver as its child and passes every frame on, until
//! an order says otherwise. Orders are files, so that the campaign can place them while the daemon runs.

mod order;
mod source;

pub use order::{DRIVER, Fault, ORDERS, Order, PLACE, Phase, STUCK};
pub use source::{IMAGE, PROTOCOL, serve as serve_images};
