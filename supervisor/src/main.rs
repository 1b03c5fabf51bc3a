//! One program, three lives: the keeper (no argument), its supervisor, and the stage that builds sandboxes.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => hulld::keeper::main(),
        Some("--supervisor") => hulld::daemon::main(),
        Some("--sandbox") => hulld::plugins::sandbox_stage(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("--version") => {
            // The one thing a person may ask of the daemon's program.
            let _ =
                std::io::Write::write_all(&mut std::io::stdout(), concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes());
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!(
                "hulld: unknown argument `{other}`; it takes none, and is configured by HULL_DIR and through its API (see `hull admin`)"
            );
            ExitCode::from(64)
        }
    }
}
