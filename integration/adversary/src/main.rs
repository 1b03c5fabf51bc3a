//! The adversary: a plugin that is its driver, frame by frame, until it is ordered to misbehave. Never installed.

mod fault;
mod frame;
mod memory;
mod proxy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if std::env::args().nth(1).as_deref() == Some("images") {
        return hull_adversary::serve_images();
    }
    match proxy::run(&name) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("adversary `{name}`: {error}");
            ExitCode::FAILURE
        }
    }
}
