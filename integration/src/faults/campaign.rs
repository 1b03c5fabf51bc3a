//! The campaign: cell after cell, and after each everything as before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hull_adversary::{Fault, ORDERS, Order, Phase, STUCK};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::cell::{Cell, Selection};
use super::control::{WEB, Watched};
use super::fixture::Stage;
use super::hostile;
use super::inventory::Inventory;
use super::pulse::OpenExec;
use super::report::{Outcome, Report};
use super::scenario::{self, Scenario, When};
use super::stuck::Stuck;
use super::watch::{self, Log};
use crate::command::until;
use crate::image::small_image;
use crate::{Host, Instance};

/// How many crashes a process may have before the daemon is started anew: hulld's breaker is not what is tested here.
const CRASHES: u32 = 3;
/// Everything that a request waits for is bounded; none takes this long.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);
/// By then what a scenario has made can be removed again.
const HEALING: Duration = Duration::from_secs(30);
/// By then nothing is left of a fault.
const CONVERGENCE: Duration = Duration::from_secs(15);
/// A process that was killed is back by then.
const RESTART: Duration = Duration::from_secs(5);
/// A driver that has met its fault is in the kernel by then, if it has not been let go already.
const STUCK_BY: Duration = Duration::from_secs(1);
/// What has nothing to do with the fault takes no longer.
const OTHERS: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub seed: u64,
    /// When to stop choosing further cells.
    pub budget: Option<Duration>,
    pub only: Option<Selection>,
    /// Stop at the first finding, so that its daemon's log is the last thing shown.
    pub first: bool,
    /// Set by somebody who wants the campaign to end after the cell at hand.
    pub stop: Arc<AtomicBool>,
}

/// See the module.
pub struct Campaign {
    host: Host,
    stage: Stage,
    watched: Watched,
    exec: Option<OpenExec>,
    stuck: Stuck,
    quiet: Host,
    control: Watched,
    machine: Log,
    stop: Arc<AtomicBool>,
    orders: PathBuf,
    baseline: Inventory,
    crashes: BTreeMap<String, u32>,
    /// Subjects whose scenario has run without a fault.
    known: Vec<String>,
    random: StdRng,
}

impl Campaign {
    /// Commits the cells that `options` chooses, tells of each on stderr, and removes everything again.
    pub fn run(options: &Options) -> Result<Report> {
        let mut random = StdRng::seed_from_u64(options.seed);
        let mut cells: Vec<Cell> = Cell::all();
        cells.shuffle(&mut random);
        cells.retain(|cell| options.only.as_ref().is_none_or(|only| only.holds(cell)) && scenario::of(cell).is_some());
        let start = Instant::now();
        let mut campaign = Some(Self::start(random)?);
        let mut report = Report { seed: options.seed, ..Report::default() };
        for cell in cells {
            let late = options.budget.is_some_and(|budget| start.elapsed() >= budget);
            if late || options.stop.load(Ordering::Relaxed) {
                break;
            }
            let from = Instant::now();
            eprint!("{cell}: ");
            let current = match campaign.take() {
                Some(campaign) => campaign,
                None => Self::start(StdRng::seed_from_u64(options.seed))?,
            };
            let outcome = current.committed(&cell, &mut campaign);
            eprintln!("{} ({} ms)", told(&outcome), from.elapsed().as_millis());
            report.indulgence = report.indulgence.max(watch::indulgence());
            let found = matches!(outcome, Outcome::Found(_) | Outcome::NotReached);
            report.outcomes.insert(cell, outcome);
            if found && options.first {
                break;
            }
        }
        campaign.map_or(Ok(()), Self::end)?;
        Ok(report)
    }

    /// The outcome of a cell, after which `next` is what goes on: nothing, if the daemon is of no more use.
    fn committed(mut self, cell: &Cell, next: &mut Option<Self>) -> Outcome {
        match self.commit(cell) {
            Ok(outcome) => {
                if matches!(outcome, Outcome::Found(_)) || std::env::var_os("HULL_FAULTS_LOG").is_some() {
                    eprintln!("\n{}", self.host.log());
                }
                *next = Some(self);
                outcome
            }
            Err(error) => {
                eprintln!("{}", self.host.log());
                Outcome::Found(vec![format!("nothing works any more: {error:#}")])
            }
        }
    }

    fn start(random: StdRng) -> Result<Self> {
        let quiet = Host::with_network()?;
        let control = Watched::start(&quiet)?;
        let mut stuck = None;
        let host = Host::placed(|folder, _| {
            let programs = hostile::install(folder, &small_image(folder, "fetched")?)?;
            stuck = Some(Stuck::mount(&folder.join(ORDERS).join(STUCK))?);
            Ok(programs)
        })?;
        let host = host.furnished()?.networked()?;
        let stuck = stuck.context("no file system to be stuck in")?;
        let watched = Watched::start(&host)?;
        let stage = Stage::set(&host)?;
        let exec = Some(OpenExec::start(&host, WEB)?);
        let (machine, stop) = (Log::default(), Arc::new(AtomicBool::new(false)));
        watch::machine(machine.clone(), stop.clone());
        let orders = host.folder().join(ORDERS);
        let baseline = Inventory::of(&host)?;
        let (crashes, known) = (BTreeMap::new(), Vec::new());
        Ok(Self {
            host,
            stage,
            watched,
            exec,
            stuck,
            quiet,
            control,
            machine,
            stop,
            orders,
            baseline,
            crashes,
            known,
            random,
        })
    }

    fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.watched.pulse.check_record(&self.watched.instance(&self.host))?;
        self.exec = None;
        self.stage.strike()?;
        let Self { host, watched, stuck, quiet, control, .. } = self;
        drop(watched);
        drop(control);
        drop(stuck);
        let directory = host.directory();
        if let Err(error) = host.assert_nothing_leaked() {
            // A driver behind an adversary ends a moment after hulld has looked for groups to remove.
            let text = format!("{error:#}");
            let left = text.split_once("left on the host:").map_or("", |(_, left)| left);
            if left.is_empty() || left.lines().any(|line| !line.trim().is_empty() && !line.contains("control group:")) {
                return Err(error);
            }
            crate::demolish::demolish(&directory, None);
        }
        quiet.assert_nothing_leaked()
    }

    /// One cell, from a clean state to a clean state.
    fn commit(&mut self, cell: &Cell) -> Result<Outcome> {
        let scenario = scenario::of(cell).context("a cell without a scenario was chosen")?;
        self.acquaint(cell, &scenario)?;
        if self.crashes.get(&scenario.process).is_some_and(|crashes| *crashes >= CRASHES) {
            self.renew()?;
        }
        *self.crashes.entry(scenario.process.clone()).or_default() +=
            if scenario.when == When::Meanwhile { 1 } else { 2 };
        if scenario.when == When::Back {
            self.clean_run(&scenario).context("the request that starts the process")?;
        }
        (scenario.prepare)(&self.stage).context("what the scenario needs")?;
        self.watched.forget();
        let order = Order { fault: cell.fault, phase: cell.phase, seed: self.random.random::<u32>().into() };
        let path = self.place(&scenario, order, &cell.method)?;
        let from = Instant::now();
        let (result, mut findings) = self.act(&scenario, cell.fault, &path)?;
        let acted = from.elapsed();
        let fired = path.with_added_extension("fired");
        if scenario.when != When::Meanwhile {
            // The request may have been faster than the process whose start, or end, is waited for.
            let _ = until("the fault is committed", RESTART, || fired.exists().then_some(()));
        }
        let reached = fired.exists();
        let _ = std::fs::remove_file(&path); // it is there only if nobody has met it
        if reached && cell.fault == Fault::Stuck {
            // It says so a moment before it is stuck; who is let go before that would wait for ever.
            let _ = until("it is stuck", STUCK_BY, || (self.stuck.waiting() > 0).then_some(()));
        }
        self.stuck.release();
        findings.extend(result.as_ref().err().and_then(|error| unclear(&format!("{error:#}"))));
        findings.extend(self.heal(&scenario));
        let healed = from.elapsed();
        findings.extend(self.converged()?);
        if std::env::var_os("HULL_FAULTS_TIMES").is_some() {
            eprintln!("acted {acted:?} healed {healed:?} converged {:?}", from.elapsed());
        }
        findings.extend(self.watched.findings(&self.control, &self.machine));
        if let Some(exec) = &self.exec {
            findings.extend(exec.check().err().map(|error| format!("{error:#}")));
            findings.extend(exec.log.taken().1);
        }
        Ok(match (findings.is_empty(), reached, result) {
            (false, ..) => Outcome::Found(findings),
            (true, false, _) => Outcome::NotReached,
            (true, true, Ok(())) => Outcome::Survived,
            (true, true, Err(error)) => Outcome::Healed(format!("{error:#}")),
        })
    }

    /// The scenario without a fault: that it works at all, and what it leaves for good (processes that were not there).
    fn acquaint(&mut self, cell: &Cell, scenario: &Scenario) -> Result<()> {
        let subject = cell.subject();
        if self.known.contains(&subject) {
            return Ok(());
        }
        self.clean_run(scenario).with_context(|| format!("the scenario of `{subject}`, without any fault"))?;
        std::thread::sleep(Duration::from_millis(200)); // programs that end with it
        self.baseline = Inventory::of(&self.host)?.or(&self.baseline);
        self.known.push(subject);
        Ok(())
    }

    fn clean_run(&self, scenario: &Scenario) -> Result<()> {
        (scenario.prepare)(&self.stage)?;
        (scenario.act)(&self.stage)?;
        (scenario.finally)(&self.stage)?;
        self.stage.clear()
    }

    /// A daemon without a memory of crashes.
    fn renew(&mut self) -> Result<()> {
        self.exec = None;
        self.host.restart_daemon()?;
        self.crashes.clear();
        self.stage.clear()?;
        self.exec = Some(OpenExec::start(&self.host, WEB)?);
        self.baseline = Inventory::of(&self.host)?.or(&self.baseline);
        Ok(())
    }

    fn place(&self, scenario: &Scenario, order: Order, method: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.orders.join(&scenario.process);
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        if let Some(silent) = scenario.silent {
            let never = Order { fault: Fault::Never, phase: Phase::Before, seed: 0 };
            never.place(&self.orders, &scenario.process, silent)?;
        }
        Ok(order.place(&self.orders, &scenario.process, method)?)
    }

    /// Makes the request while the fault is committed. Its result, and what others noticed.
    fn act(&self, scenario: &Scenario, fault: Fault, path: &std::path::Path) -> Result<(Result<()>, Vec<String>)> {
        if scenario.when == When::Back {
            until("the process that is to be restarted runs", RESTART, || {
                self.signal(&scenario.process, Signal::SIGKILL).then_some(())
            })?;
        }
        let fired = path.with_added_extension("fired");
        let (mut findings, mut committed, from) = (Vec::new(), false, Instant::now());
        let result = std::thread::scope(|scope| {
            let acting = scope.spawn(|| (scenario.act)(&self.stage));
            let mut late = false;
            while !acting.is_finished() {
                if !committed && fired.exists() {
                    committed = true;
                    match fault {
                        Fault::Kill => _ = self.signal(&scenario.process, Signal::SIGKILL),
                        Fault::Stop => _ = self.signal(&scenario.process, Signal::SIGSTOP),
                        _ => {}
                    }
                    findings.extend(self.others_work(scenario));
                }
                if !late && from.elapsed() > LONGEST_REQUEST {
                    late = true;
                    findings.push(format!("the request has not come to an end within {LONGEST_REQUEST:?}"));
                    self.stuck.release();
                    self.signal(&scenario.process, Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            acting.join()
        });
        let result = result.map_err(|_| anyhow::anyhow!("the scenario panicked"))?;
        Ok((result, findings))
    }

    /// All processes that are this plugin's, by the name that hulld gives them.
    fn signal(&self, process: &str, signal: Signal) -> bool {
        let mut any = false;
        for pid in self.host.processes() {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.split(|byte| *byte == 0).next() == Some(process.as_bytes()) {
                // It may have ended this moment.
                any |= kill(Pid::from_raw(pid), signal).is_ok();
            }
        }
        any
    }

    /// Another pool, the network and the instance, as far as the fault is not in their own driver.
    fn others_work(&self, scenario: &Scenario) -> Vec<String> {
        let rest = &self.host.rest;
        let mut findings = Vec::new();
        let mut check = |what: &str, work: &dyn Fn() -> Result<()>| {
            let from = Instant::now();
            if let Err(error) = work() {
                findings.push(format!("{what} does not work meanwhile: {error:#}"));
            } else if from.elapsed() > OTHERS {
                findings.push(format!("{what} takes {} ms meanwhile", from.elapsed().as_millis()));
            }
        };
        check("another pool", &|| {
            let volumes = "/1.0/storage-pools/default/volumes/custom";
            self.stage.done(rest.post(volumes, &json!({"name": "other", "type": "custom", "config": {}}))?)?;
            self.stage.done(rest.delete(&format!("{volumes}/other"))?)
        });
        if !scenario.process.starts_with("network-") {
            let leases = format!("/1.0/networks/{}/leases", self.stage.network);
            check("the network", &|| self.stage.done(rest.get(&leases)?));
        }
        if !scenario.process.starts_with("instance-") {
            let wish = json!({"command": ["true"], "wait-for-websocket": false, "interactive": false});
            check("an exec", &|| self.stage.done(rest.post(&format!("/1.0/instances/{WEB}/exec"), &wish)?));
        }
        findings
    }

    /// Everything that the scenario made can be removed, and the scenario works again.
    fn heal(&self, scenario: &Scenario) -> Vec<String> {
        let mut last = None;
        let cleared = until("what the scenario made is removed", HEALING, || {
            last = self.stage.clear().err();
            last.is_none().then_some(())
        });
        if cleared.is_err() {
            return vec![format!("does not heal: {:#}", last.unwrap_or_else(|| anyhow::anyhow!("no reason")))];
        }
        // A machine that is busy with other things may let a bound of its own pass: once more then.
        let again = |error| {
            eprintln!("the same request fails once afterwards: {error:#}");
            self.stage.clear().and_then(|()| self.clean_run(scenario))
        };
        match self.clean_run(scenario).or_else(again) {
            Ok(()) => Vec::new(),
            Err(error) => {
                let _ = self.stage.clear(); // the next cell starts from here
                vec![format!("the same request fails afterwards: {error:#}")]
            }
        }
    }

    fn converged(&mut self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let converged = until("everything is as before", CONVERGENCE, || {
            left = Inventory::of(&self.host).ok()?.difference(&self.baseline);
            left.is_empty().then_some(())
        });
        if self.stuck.waiting() > 0 {
            self.stuck.release(); // or what takes everything down would wait, too
            bail!("somebody waits in the stuck file system after everybody was let go");
        }
        let web = Instance { host: &self.host, name: WEB.into() };
        match web.status() {
            Ok(status) if status == "Running" => {}
            Ok(status) => left.push(format!("`{WEB}` is {status}")),
            Err(error) => left.push(format!("the state of `{WEB}` cannot be had: {error:#}")),
        }
        if converged.is_err() {
            // Told once: the next cell starts from here.
            self.baseline = Inventory::of(&self.host)?.or(&self.baseline);
        }
        Ok(left)
    }
}

/// Hulld has no name for what these are about.
const WITHOUT_OBJECT: [&str; 7] = ["receive", "inspect", "list", "host_interfaces", "reconcile", "collect", "describe"];
/// These are about the pool, which the name of its process says.
const ABOUT_THE_POOL: [&str; 2] = ["open_pool", "pool_usage"];

/// An error must name the method, the plugin, what the call was about, and a cause; that of a replacement names the plugin and the
/// cause. What was there and could be done before the fault must not be refused after it, as when something that is deleted a
/// second time is not found.
fn unclear(error: &str) -> Option<String> {
    if ["400: ", "404: ", "409: "].iter().any(|status| error.starts_with(status)) {
        return Some(format!("the request is blamed for what the driver did: {error}"));
    }
    let clear = error.contains("plugin `") && error.contains(": ");
    if !clear {
        return Some(format!("the error does not say what happened where: {error}"));
    }
    let Some((before, after)) = error.split_once("` of plugin `") else {
        let replacement = error.contains("new process of plugin `");
        return (!replacement).then(|| format!("the error names no method: {error}"));
    };
    let (method, rest) = (before.rsplit('`').next().unwrap_or_default(), after.split_once('`'));
    let named = rest.is_some_and(|(process, rest)| {
        rest.starts_with(" for ") || process.contains('@') && ABOUT_THE_POOL.contains(&method)
    });
    (!named && !WITHOUT_OBJECT.contains(&method)).then(|| format!("the error does not name the object: {error}"))
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Survived => "survived".into(),
        Outcome::Healed(error) => format!("healed: {error}"),
        Outcome::NotReached => "NOT REACHED".into(),
        Outcome::Found(findings) => format!("FOUND\n  * {}", findings.join("\n  * ")),
    }
}

#[cfg(test)]
mod tests {
    use super::unclear;

    #[test]
    fn an_error_names_all_that_is_known() {
        let whole =
            "504: \"`exec` of plugin `instance-container` for instance `web` gave no answer within 3s: it is deaf\"";
        assert_eq!(unclear(whole), None);
        assert_eq!(unclear("503: \"`pool_usage` of plugin `storage-dir@victim`: its process ended 3 times\""), None);
        assert_eq!(unclear("500: \"`inspect` of plugin `image-file` failed: answered before it was done\""), None);
        for (error, word) in [
            ("504: \"`exec` of plugin `instance-container` gave no answer within 3s: it is deaf\"", "object"),
            ("504: \"`delete_volume` of plugin `storage-dir@victim` failed: `x@y` for z\"", "object"),
            ("503: \"plugin `storage-dir@victim`: it is deaf\"", "method"),
            ("404: \"`delete_file` of plugin `instance-container`, repeated: cannot delete `/root/file`\"", "blamed"),
            ("500: it broke", "what happened"),
        ] {
            assert!(unclear(error).is_some_and(|why| why.contains(word)), "{error}");
        }
    }
}
