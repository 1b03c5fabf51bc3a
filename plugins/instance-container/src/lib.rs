//! What the container driver and its helper `hull-init` say to each other. Everything else is in the two programs:
//! `driver/` (the plugin) and `init/` (the helper).

pub mod order;
