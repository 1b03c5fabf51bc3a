//! `cargo xtask faults`: builds Hull and its adversary, and lets every method of every driver go wrong in every way.

use anyhow::{Result, bail};

use crate::setup::{self, Setup};
use crate::workspace::{cargo, say, succeed, target};

/// Make every method of every driver go wrong in every way, and see that nobody else notices
#[derive(Debug, clap::Args)]
pub(crate) struct Faults {
    /// Decides order and variants; chosen and printed if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Stop after so many minutes; all cells if not given (hours)
    #[arg(long)]
    minutes: Option<f64>,
    /// Only these cells: `storage.create_volume/after/SIGKILL`, `network`, `instance.exec/*/stuck`
    #[arg(long)]
    only: Option<String>,
    /// Stop at the first finding
    #[arg(long)]
    first: bool,
    /// Build for release: bounds on time mean more then
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(faults: &Faults) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the campaign makes containers and bridges: run it as root");
    }
    setup::run(&Setup::default())?;
    say("building");
    let (profile, folder) = if faults.release { ("release", "release") } else { ("dev", "debug") };
    succeed(&mut cargo(&["build", "--workspace", "--bins", "--profile", profile])?)?;
    say("committing faults");
    let built = target()?.join(folder);
    let mut campaign = std::process::Command::new(built.join("hull-faults"));
    campaign.env("HULL_TEST_PROGRAMS", built);
    campaign.args(faults.seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    campaign.args(faults.minutes.iter().flat_map(|minutes| ["--minutes".to_owned(), minutes.to_string()]));
    campaign.args(faults.only.iter().flat_map(|only| ["--only".to_owned(), only.clone()]));
    campaign.args(faults.first.then_some("--first"));
    succeed(&mut campaign)
}
