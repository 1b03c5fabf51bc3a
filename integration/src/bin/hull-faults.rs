//! The fault campaign as a program: `cargo xtask faults` builds everything and starts it.
#![allow(clippy::print_stdout)] // its output is for the person who started it

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use hull_integration::faults::{Campaign, Options, Selection};
use nix::sys::signal::{SigSet, Signal};

/// Make every method of every driver go wrong in every way, and see that nobody else notices
#[derive(Debug, Parser)]
#[command(name = "hull-faults")]
struct Arguments {
    /// Decides order and variants; chosen and printed if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Stop after so many minutes; all cells if not given
    #[arg(long)]
    minutes: Option<f64>,
    /// Only these cells: `storage.create_volume/after/SIGKILL`, `network`, `instance.exec/*/stuck`
    #[arg(long)]
    only: Option<Selection>,
    /// Stop at the first finding and show the end of the daemon's log
    #[arg(long)]
    first: bool,
}

/// Set by Ctrl-C and SIGTERM: after the cell at hand everything is taken down. Before any other thread is started.
fn interrupts() -> nix::Result<Arc<AtomicBool>> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            eprintln!("interrupted: taking everything down after this cell");
            told.store(true, Ordering::Relaxed);
        }
    });
    Ok(stop)
}

fn main() -> ExitCode {
    let Arguments { seed, minutes, only, first } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seed {seed}");
    let budget = minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let stop = match interrupts() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("error: cannot catch Ctrl-C: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options = Options { seed, budget, only, first, stop };
    match Campaign::run(&options) {
        Ok(report) => {
            println!("{report}");
            if report.findings().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: the campaign cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}
