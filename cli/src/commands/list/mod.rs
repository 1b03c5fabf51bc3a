//! The list of instances: which ([`filter`]), and what about them ([`column`]).

mod column;
mod command;
mod filter;

pub(crate) use command::List;
