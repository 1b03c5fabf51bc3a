//! One program, three lives: the keeper (no arguments), the supervisor, and the stage that becomes a plugin.

use std::process::ExitCode;

use hulld::{daemon, keeper, sandbox_stage};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None => keeper::main(),
        Some("--supervisor") => daemon::main::<hulld::Bare>(),
        Some("--sandbox") => sandbox_stage(&arguments[1..]),
        Some("--version") => version(),
        Some(unknown) => {
            eprintln!("hulld takes no arguments (got `{unknown}`); HULL_DIR says where its state is");
            ExitCode::from(64) // EX_USAGE
        }
    }
}

#[allow(clippy::print_stdout)] // what the user asked for
fn version() -> ExitCode {
    println!("{}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
