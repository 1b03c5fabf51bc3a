//! About an instance or the server.

mod instance;
mod show;

pub(crate) use show::Info;
