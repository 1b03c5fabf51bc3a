//! The order of a bench: both sides in turn, group by group, and everything taken down at the end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::measures::{self, Extent};
use super::report::{Samples, json, table};
use super::server::{Kind, Server};
use super::{containment, image};
use crate::machine::{catch_interrupts, check};
use crate::setup::{self, Setup};
use crate::workspace::{build_release, cargo, say, succeed};

/// Measure Hull beside the real LXD, and print a table
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Fewer samples, smaller files, fewer instances
    #[arg(long)]
    quick: bool,
    /// One side only
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Only what is quick, or only what the walls between the parts cost
    #[arg(long, value_enum)]
    section: Option<Section>,
    /// Also write every sample into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Stopped instances for the long lists
    #[arg(long, value_name = "COUNT")]
    stopped: Option<usize>,
    /// Where Hull's programs are, instead of building them
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
}

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    Speed,
    Containment,
}

impl Bench {
    fn has(&self, section: Section) -> bool {
        self.section.is_none_or(|only| only == section)
    }
}

const QUICK: Extent = Extent { rounds: 3, execs: 20, requests: 500, lists: 5, megabytes: 64, stopped: 100 };
const FULL: Extent = Extent { rounds: 10, execs: 100, requests: 5000, lists: 20, megabytes: 512, stopped: 1000 };

pub(crate) fn run(bench: &Bench) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the bench starts daemons that make containers: run it as root");
    }
    let kinds: Vec<Kind> = bench.only.map_or_else(|| vec![Kind::Lxd, Kind::Hull], |kind| vec![kind]);
    setup::run(&Setup { lxd: kinds.contains(&Kind::Lxd), ci: false })?;
    let built = match &bench.built {
        Some(folder) => std::path::absolute(folder).context("the folder of the programs is no path")?,
        None if kinds.contains(&Kind::Hull) => build(bench)?,
        None => PathBuf::new(),
    };
    catch_interrupts()?;
    let mut extent = if bench.quick { QUICK } else { FULL };
    extent.stopped = bench.stopped.unwrap_or(extent.stopped);

    // Short: a socket's path has 108 bytes. On the disk of the temporary directory, as both sides' pools.
    let folder =
        tempfile::Builder::new().prefix("hull-bench-").tempdir().context("cannot make a temporary directory")?;
    let begun = Instant::now();
    let mut sides: Vec<(Kind, Samples)> = kinds.into_iter().map(|kind| (kind, Samples::default())).collect();
    let measured = measure(bench, &mut sides, folder.path(), &built, extent);
    let named: Vec<(&str, &Samples)> = sides.iter().map(|(kind, samples)| (kind.name(), samples)).collect();
    println!("\n{}", table(&named));
    println!(
        "many stopped: {}; file and stream: {} MiB; clean and forced stop: LXD's less {} ms that its lxcfs hook sleeps; {:.0} s in all",
        extent.stopped,
        extent.megabytes,
        Kind::Lxd.stop_overhead(),
        begun.elapsed().as_secs_f64()
    );
    if let Some(path) = &bench.json {
        let text = json(&named).to_string();
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    measured
}

/// Where Hull's programs are, and the one that measures calls.
fn build(bench: &Bench) -> Result<PathBuf> {
    let built = build_release()?;
    if bench.has(Section::Containment) {
        succeed(&mut cargo(&["build", "--release", "--package", "hulld", "--bins", "--examples"])?)?;
    }
    Ok(built)
}

fn measure(bench: &Bench, sides: &mut [(Kind, Samples)], folder: &Path, built: &Path, extent: Extent) -> Result<()> {
    let image = image::build(folder)?;
    if let Some((_, samples)) = sides.iter_mut().find(|(kind, _)| *kind == Kind::Hull)
        && bench.has(Section::Containment)
    {
        containment::calls(samples, built)?;
    }
    let cold_starts = if bench.has(Section::Speed) { extent.rounds.min(5) } else { 0 };
    say("cold start");
    for round in 0..cold_starts {
        for (kind, samples) in &mut *sides {
            let (server, took) = Server::start(*kind, &folder.join(format!("{}-cold{round}", kind.name())), built)?;
            samples.add(measures::COLD_START, took);
            removed(vec![server])?;
            check()?;
        }
    }
    let mut servers = Vec::new();
    let done = (|| {
        for (kind, _) in &*sides {
            let (mut server, _) = Server::start(*kind, &folder.join(kind.name()), built)?;
            let furnished = server.furnish(&image).with_context(|| format!("cannot furnish {}", kind.name()));
            servers.push(server);
            furnished?;
        }
        let plans: [(Section, &[Group]); 2] = [(Section::Speed, &SPEED), (Section::Containment, &CONTAINMENT)];
        plans
            .into_iter()
            .filter(|(section, _)| bench.has(*section))
            .try_for_each(|(_, plan)| groups(plan, sides, &mut servers, &extent))
    })();
    let taken_down = removed(servers);
    done.and(taken_down)
}

/// Samples of one kind: a title, how often they are taken of all rounds, and how.
type Group = (&'static str, fn(&Extent) -> usize, Take);
type Take = fn(&mut Server, &mut Samples, usize, &Extent) -> Result<()>;

const ONCE: fn(&Extent) -> usize = |_| 1;
const THRICE: fn(&Extent) -> usize = |_| 3;

const SPEED: [Group; 10] = [
    (
        "daemon start with pool and bridge",
        |extent| extent.rounds.min(5),
        |server, samples, _, _| measures::restart(server, samples),
    ),
    ("requests", ONCE, |server, samples, _, extent| measures::requests(server, samples, extent)),
    (
        "create, start, stop, delete",
        |extent| extent.rounds,
        |server, samples, round, _| measures::lifecycle(server, samples, round),
    ),
    ("a minute of idleness", ONCE, |server, samples, _, _| measures::idle(server, samples)),
    ("launches", ONCE, |server, samples, _, _| measures::launches(server, samples)),
    ("lists of running instances", ONCE, |server, samples, _, extent| measures::running_lists(server, samples, extent)),
    ("exec", THRICE, |server, samples, _, extent| measures::execs(server, samples, extent)),
    ("exec stdout, files", THRICE, streams),
    ("taking the running instances down", ONCE, |server, _, _, _| measures::remove_running(server)),
    ("lists of stopped instances", ONCE, |server, samples, _, extent| measures::stopped_lists(server, samples, extent)),
];

const CONTAINMENT: [Group; 6] = [
    ("silent and slow clients", ONCE, |server, samples, _, extent| containment::crowd(server, samples, extent)),
    ("a minute of idleness", ONCE, |server, samples, _, _| measures::idle(server, samples)),
    ("a container for streams", ONCE, |server, _, _, _| containment::container_for_streams(server)),
    (
        // In turn: memory that the hypervisor has just taken back makes either slow for a while.
        "exec stdout and files, and the same bytes without a daemon",
        |extent| extent.rounds.min(6),
        |server, samples, round, extent| {
            streams(server, samples, round, extent)?;
            containment::bare(server, samples, extent)
        },
    ),
    (
        "killed storage plugins",
        |extent| extent.rounds,
        |server, samples, round, _| containment::killed(server, samples, round),
    ),
    ("recovery of many containers", ONCE, |server, samples, _, _| containment::recovery(server, samples)),
];

fn streams(server: &mut Server, samples: &mut Samples, _: usize, extent: &Extent) -> Result<()> {
    measures::stdout(server, samples, extent)?;
    measures::files(server, samples, extent)
}

/// A group's samples of one round are taken on one side right after the other.
fn groups(plan: &[Group], sides: &mut [(Kind, Samples)], servers: &mut [Server], extent: &Extent) -> Result<()> {
    for (title, rounds, take) in plan {
        say(title);
        for round in 0..rounds(extent) {
            for ((kind, samples), server) in sides.iter_mut().zip(&mut *servers) {
                take(server, samples, round, extent).with_context(|| format!("{}: {title}", kind.name()))?;
            }
        }
    }
    Ok(())
}

fn removed(servers: Vec<Server>) -> Result<()> {
    let left: Vec<String> = servers.into_iter().flat_map(Server::remove).collect();
    if !left.is_empty() {
        bail!("not everything could be taken down:\n  {}", left.join("\n  "));
    }
    Ok(())
}
