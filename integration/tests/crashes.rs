//! The supervisor is killed at every boundary of every plan, and at random moments: nothing is half-made, nothing lost.
//!
//! `cargo xtask crashes` runs `campaign` for as long as one likes; here each has a small budget.

use std::time::{Duration, Instant};

use anyhow::Result;
use hull_integration::{Campaign, Target};

/// How long cutting at random may take here.
const BUDGET: Duration = Duration::from_secs(40);

#[test]
fn every_boundary_of_the_plans_of_instances() -> Result<()> {
    boundaries(&["-instance"])
}

#[test]
fn every_boundary_of_the_plans_of_images() -> Result<()> {
    boundaries(&["-image"])
}

#[test]
fn every_boundary_of_the_plans_of_pools_and_volumes() -> Result<()> {
    boundaries(&["-pool", "-volume"])
}

#[test]
fn every_boundary_of_the_plans_of_networks() -> Result<()> {
    boundaries(&["-network"])
}

#[test]
fn random_moments() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(()); // has no supervisor to kill
    }
    let seed = rand::random();
    let mut campaign = Campaign::new(&[])?;
    campaign.assert_complete()?;
    campaign.at_random(seed, 40, Instant::now() + BUDGET)?;
    eprintln!("seed {seed}: {}", campaign.finish()?);
    Ok(())
}

/// `cargo xtask crashes`: `HULL_CRASHES` is its seed, its seconds, its count and the scenarios it keeps to.
#[test]
#[ignore = "as long as one likes: run by `cargo xtask crashes`"]
fn campaign() -> Result<()> {
    let words = std::env::var("HULL_CRASHES")?;
    let mut words = words.split(' ');
    let mut number = || words.next().unwrap_or_default().parse::<u64>();
    let (seed, seconds, count) = (number()?, number()?, number()?);
    let only: Vec<&str> = words.collect();
    let mut campaign = Campaign::new(&only)?;
    let until = Instant::now() + Duration::from_secs(seconds);
    campaign.at_every_boundary()?;
    campaign.at_random(seed, usize::try_from(count)?, until)?;
    eprintln!("seed {seed}: {}", campaign.finish()?);
    Ok(())
}

fn boundaries(only: &[&str]) -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(()); // has no boundaries that one could name
    }
    let mut campaign = Campaign::new(only)?;
    campaign.at_every_boundary()?;
    eprintln!("{}", campaign.finish()?);
    Ok(())
}
