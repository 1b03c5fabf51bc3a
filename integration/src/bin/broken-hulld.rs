//! A hulld that says a version and is good for nothing else: it does what the file `behaviour` beside it says.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        let mut output = std::io::stdout();
        return match std::io::Write::write_all(&mut output, b"99.0.0\n") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let beside = std::env::current_exe().map(|own| own.with_file_name("behaviour"));
    match beside.and_then(std::fs::read_to_string).unwrap_or_default().trim() {
        "ends" => ExitCode::SUCCESS,
        "hangs" => loop {
            std::thread::park();
        },
        _ => ExitCode::FAILURE,
    }
}
