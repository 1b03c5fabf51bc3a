//! The `container` driver: system containers in namespaces.
//!
//! This process holds no privilege over the host. It keeps the table of containers ([`table`]) and answers Hull
//! ([`driver`]); all work in namespaces is done by children of `hull-init` ([`helper`]), which is single-threaded.
//! A verb is a file: [`prepare`], [`start`], [`exec`], [`file`], [`recover`], [`handover`], …

mod cell;
mod cgroup;
mod config;
mod console;
mod describe;
mod driver;
mod exec;
mod file;
mod handover;
mod helper;
mod mount;
mod network;
mod prepare;
mod recover;
mod seccomp;
mod start;
mod state;
mod stop;
mod sys;
mod table;

use std::process::ExitCode;

hull_plugin::manifest!("../../plugin.toml");

fn main() -> ExitCode {
    let helper = match helper::Source::find() {
        Ok(helper) => helper,
        Err(error) => {
            eprintln!("instance-container: cannot open `hull-init` beside this program: {error}");
            return ExitCode::FAILURE;
        }
    };
    hull_plugin::serve_instance(|host| driver::Container::new(host, helper))
}
