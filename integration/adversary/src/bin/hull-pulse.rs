//! The pulse of an instance: a number every 10 ms, written to a file, then sent over TCP with the time of sending.
//!
//! `hull-pulse ADDRESS:PORT FILE`. Ends when the other side closes.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: hull-pulse ADDRESS:PORT FILE");
        return ExitCode::from(64); // EX_USAGE
    };
    match beat(&address, &path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hull-pulse: {error}");
            ExitCode::FAILURE
        }
    }
}

fn beat(address: &str, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut file = File::create(path)?;
    let start = Instant::now();
    for number in 0u64.. {
        let line = format!("{number} {}\n", start.elapsed().as_micros());
        file.write_all(line.as_bytes())?;
        stream.write_all(line.as_bytes())?;
        // By the clock, not by the last beat: being late once does not make all later ones late.
        let due = BEAT * u32::try_from(number + 1).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok(())
}
