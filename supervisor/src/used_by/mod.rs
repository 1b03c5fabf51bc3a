//! Who uses what: the `used_by` lists, and the refusal to delete what is in use.
//!
//! Computed from the records in memory when asked; nothing here is stored. What counts as a use is in [`rules`], pure.

mod lookup;
mod rules;

pub(crate) use lookup::{custom_volume, network, pool, profile};
pub(crate) use rules::url_of_volume;
