//! The fault campaign as a program: `cargo xtask faults` builds everything and starts it.
#![allow(clippy::print_stdout)] // its output is for the person who started it

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hull_integration::faults::{Campaign, Options, Selection};

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

fn main() -> ExitCode {
    let Arguments { seed, minutes, only, first } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seed {seed}");
    let options = Options { seed, budget: minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0)), only, first };
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
