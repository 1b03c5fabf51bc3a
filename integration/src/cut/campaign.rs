//! A host whose plans are cut, again and again, and the account of it.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::scenario::{self, Promised, Scenario};
use super::whole::assert_whole;
use crate::daemon::Settings;
use crate::host::Host;
use crate::until;

/// See the module.
pub struct Campaign {
    host: Host,
    scenarios: Vec<Scenario>,
    /// What was cut where, how the client fared, and how long no supervisor answered.
    cuts: Vec<Duration>,
    points: usize,
    acknowledged: usize,
}

/// What a campaign comes to.
#[derive(Clone, Debug)]
pub struct Report {
    pub points: usize,
    pub cuts: usize,
    /// How many of the cut changes the client had been told were done.
    pub acknowledged: usize,
    pub median: Duration,
    pub longest: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, cuts, acknowledged, median, longest } = self;
        write!(
            f,
            "{cuts} cuts ({points} at boundaries, {acknowledged} after the acknowledgement): nothing half-made, nothing \
             acknowledged lost; the API answered again after {median:?} (median), {longest:?} (longest)"
        )
    }
}

impl Campaign {
    /// A host, and the scenarios whose names begin with one of `only` (all of them if that is empty).
    pub fn new(only: &[&str]) -> Result<Self> {
        let host = Host::placed(|folder, _| {
            let points = folder.join("points");
            fs::create_dir(&points)?;
            Ok(Settings { environment: vec![("HULL_CRASH_POINTS".to_owned(), points)], ..Settings::default() })
        })?;
        let host = host.furnished()?.networked()?;
        let chosen = |one: &&Scenario| {
            only.is_empty() || only.iter().any(|start| one.name.starts_with(start) || one.name.ends_with(start))
        };
        let scenarios = scenario::ALL.iter().filter(chosen).copied().collect();
        Ok(Self { host, scenarios, cuts: Vec::new(), points: 0, acknowledged: 0 })
    }

    /// Cuts every plan at each of its boundaries, and each undo at each of its own.
    pub fn at_every_boundary(&mut self) -> Result<()> {
        let all = fs::read_to_string(self.host.folder().join("points/all"))?;
        for scenario in self.scenarios.clone() {
            for plan in scenario.plans {
                let points: Vec<&str> = all.lines().filter(|point| point.split('/').next() == Some(plan)).collect();
                anyhow::ensure!(!points.is_empty(), "hulld has no plan `{plan}`");
                let last = points.iter().rfind(|point| !point.contains("/undo/") && !point.ends_with("/written"));
                for point in &points {
                    // An undo follows a plan that was cut.
                    let orders = match (point.contains("/undo/"), last) {
                        (true, Some(last)) => format!("{last}\n{point}\n"),
                        _ => format!("{point}\n"),
                    };
                    self.at(&scenario, &orders).with_context(|| format!("cut at {orders:?}"))?;
                }
            }
        }
        Ok(())
    }

    /// Every plan that hulld has is driven by a scenario.
    pub fn assert_complete(&self) -> Result<()> {
        let all = fs::read_to_string(self.host.folder().join("points/all"))?;
        let driven = |plan: &str| scenario::ALL.iter().any(|scenario| scenario.plans.contains(&plan));
        let missed: Vec<&str> =
            all.lines().filter(|point| !driven(point.split('/').next().unwrap_or_default())).collect();
        anyhow::ensure!(missed.is_empty(), "no scenario reaches {missed:?}");
        Ok(())
    }

    /// Kills the supervisor `count` times, or until `until`, at moments that `seed` chooses, the scenarios taking turns.
    pub fn at_random(&mut self, seed: u64, count: usize, until: Instant) -> Result<()> {
        let mut random = StdRng::seed_from_u64(seed);
        for number in 0..count {
            if Instant::now() >= until {
                break;
            }
            let scenario = self.scenarios[number % self.scenarios.len()];
            let wait = Duration::from_micros(random.random_range(0..80_000));
            self.after(&scenario, wait)
                .with_context(|| format!("seed {seed}, cut {number}: `{}` cut after {wait:?}", scenario.name))?;
        }
        Ok(())
    }

    /// The end: everything is deleted, and the host must be as it was.
    pub fn finish(self) -> Result<Report> {
        let mut pauses = self.cuts.clone();
        pauses.sort_unstable();
        let report = Report {
            points: self.points,
            cuts: pauses.len(),
            acknowledged: self.acknowledged,
            median: pauses.get(pauses.len() / 2).copied().unwrap_or_default(),
            longest: pauses.last().copied().unwrap_or_default(),
        };
        self.host.assert_nothing_leaked()?;
        Ok(report)
    }

    fn at(&mut self, scenario: &Scenario, orders: &str) -> Result<()> {
        (scenario.ready)(&self.host).context("getting ready")?;
        let next = self.host.folder().join("points/next");
        fs::write(&next, orders)?;
        let killed = Instant::now();
        let supervisor = self.host.supervisor();
        let promised = promise((scenario.change)(&self.host));
        until("hulld dies where it was told to", Duration::from_secs(20), || {
            let orders = fs::read_to_string(&next).unwrap_or_default();
            orders.is_empty().then_some(())
        })?;
        self.points += 1;
        self.check(scenario, supervisor, promised, killed)
    }

    fn after(&mut self, scenario: &Scenario, wait: Duration) -> Result<()> {
        (scenario.ready)(&self.host).context("getting ready")?;
        let supervisor = self.host.supervisor();
        let (host, change) = (&self.host, scenario.change);
        let (promised, killed) = std::thread::scope(|scope| -> Result<_> {
            let changing = scope.spawn(move || promise(change(host)));
            std::thread::sleep(wait);
            let killed = Instant::now();
            host.kill_supervisor()?;
            // What was acknowledged a moment before the end counts as well.
            Ok((changing.join().map_err(|_| anyhow::anyhow!("the client panicked"))?, killed))
        })?;
        self.check(scenario, supervisor, promised, killed)
    }

    fn check(&mut self, scenario: &Scenario, before: Option<i32>, promised: Promised, killed: Instant) -> Result<()> {
        // One that was told to die, too, may answer before it does.
        let answering = || {
            let pid = self.host.supervisor().filter(|pid| Some(*pid) != before)?;
            self.host.rest.get("/1.0").ok().filter(|answer| answer.status == 200).map(|_| pid)
        };
        until("another supervisor answers, and goes on to", Duration::from_secs(20), || {
            let pid = answering()?;
            std::thread::sleep(Duration::from_millis(50));
            answering().filter(|same| *same == pid)
        })?;
        self.cuts.push(killed.elapsed());
        self.acknowledged += usize::from(promised == Promised::Done);
        let checked = (scenario.check)(&self.host, promised).and_then(|()| assert_whole(&self.host));
        checked.with_context(|| format!("the client was told {promised:?}\n{}", self.host.log()))
    }
}

fn promise(told: Result<()>) -> Promised {
    if told.is_ok() { Promised::Done } else { Promised::Nothing }
}
