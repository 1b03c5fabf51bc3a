//! nftables: a table for each network (NAT and filter) and one for the NICs that may not spoof.
//!
//! Owns the tables `inet hull-TAG-NETWORK` and `bridge hull-TAG`, nothing else of the host's rules; TAG tells which Hull
//! made them. [`rules`] renders (pure), [`apply`] gives the text to one `nft` process, which applies all or nothing.

mod apply;
pub(crate) mod rules;
mod script;

pub(crate) use apply::Firewall;
pub(crate) use rules::Guard;
