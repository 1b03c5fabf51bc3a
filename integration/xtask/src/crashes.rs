//! `cargo xtask crashes`: kills the supervisor at every boundary of every plan and at random moments, for as long as wanted.

use anyhow::Result;

use crate::setup::{self, Setup};
use crate::workspace::{cargo, say, succeed};

/// Cut every plan at each of its boundaries and at random moments; nothing may be half-made, nothing acknowledged lost
#[derive(Debug, clap::Args)]
pub(crate) struct Crashes {
    /// Chooses the random moments; without it, another each time
    #[arg(long)]
    seed: Option<u64>,
    /// How long cutting may take altogether
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// How many random moments
    #[arg(long, default_value_t = 500)]
    count: u64,
    /// Only changes whose names begin or end so: `create`, `-instance`, `rename-network`
    #[arg(long)]
    only: Vec<String>,
}

pub(crate) fn run(crashes: &Crashes) -> Result<()> {
    setup::run(&Setup { lxd: false, ci: false })?;
    say("building");
    succeed(&mut cargo(&["build", "--workspace", "--bins"])?)?;
    say("cutting");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let seed = crashes.seed.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    let numbers = [seed, crashes.minutes * 60, crashes.count].map(|number| number.to_string());
    let words = [&numbers[..], &crashes.only].concat().join(" ");
    let mut test = cargo(&["test", "--package", "hull-integration", "--test", "crashes"])?;
    succeed(test.args(["--", "--ignored", "--exact", "--nocapture", "campaign"]).env("HULL_CRASHES", words))
}
