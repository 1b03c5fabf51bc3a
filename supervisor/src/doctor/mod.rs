//! `/1.0/doctor`: why something does not work, and what to do about it. Looks at the machine and asks every process how it
//! is, within two seconds whatever hangs; changes nothing. Start with [`api`]; [`machine`] and [`plugin`] are what it looks at.

mod api;
mod machine;
mod plugin;

pub(crate) use api::routes;
