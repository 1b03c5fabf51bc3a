//! Commands inside instances. [`request`](Exec) → websockets → streams; the control socket carries sizes and signals.

mod command;
mod control;
mod streams;
mod terminal;

pub(crate) use command::Exec;
pub(crate) use control::serve as serve_control;
pub(crate) use streams::copy_out;
pub(crate) use terminal::{RawTerminal, size};
