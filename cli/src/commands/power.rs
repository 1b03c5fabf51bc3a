//! Start, stop, restart, pause: one change of state for one, several or all instances.

use crate::client::{Server, url};
use crate::context::Context;
use anyhow::{Result, bail};
use futures::future::join_all;
use http::Method;
use hull_api::{Instance, InstanceStatePut, StatusCode};

/// Start instances
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    #[command(flatten)]
    which: Which,
    /// Do not resume saved state
    #[arg(long)]
    stateless: bool,
    /// Attach to the console at once
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "console")]
    console: Option<String>,
}

/// Stop instances
#[derive(Debug, clap::Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
    /// Do not wait for the system inside to shut down
    #[arg(short, long)]
    force: bool,
    /// Seconds to wait for the instance before it counts as failed
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    timeout: i64,
    /// Save the running state
    #[arg(long)]
    stateful: bool,
    /// Attach to the console at once
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "console")]
    console: Option<String>,
}

/// Restart instances
#[derive(Debug, clap::Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    which: Which,
    /// Do not wait for the system inside to shut down
    #[arg(short, long)]
    force: bool,
    /// Seconds to wait for the instance before it counts as failed
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    timeout: i64,
    /// Attach to the console at once
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "console")]
    console: Option<String>,
}

/// Pause instances; `start` lets them go on
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    #[arg(value_name = "[REMOTE:]INSTANCE", required_unless_present = "all")]
    instances: Vec<String>,
    /// All instances
    #[arg(long)]
    all: bool,
}

impl Start {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let request = InstanceStatePut {
            action: "start".into(),
            timeout: -1,
            stateful: !self.stateless,
            ..InstanceStatePut::default()
        };
        change(cx, self.which, request, self.console).await
    }
}

impl Stop {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        if self.console.is_some() {
            bail!("cannot attach to the console of an instance that is being stopped");
        }
        let request = InstanceStatePut {
            action: "stop".into(),
            timeout: self.timeout,
            force: self.force,
            stateful: self.stateful,
        };
        change(cx, self.which, request, None).await
    }
}

impl Restart {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let request =
            InstanceStatePut { action: "restart".into(), timeout: self.timeout, force: self.force, stateful: false };
        change(cx, self.which, request, self.console).await
    }
}

impl Pause {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let request = InstanceStatePut { action: "freeze".into(), timeout: -1, ..InstanceStatePut::default() };
        change(cx, self.which, request, None).await
    }
}

async fn change(cx: &Context, which: Which, request: InstanceStatePut, console: Option<String>) -> Result<()> {
    if which.all && !which.instances.iter().all(|name| name.ends_with(':')) {
        bail!("Both --all and instance name given");
    }
    if console.is_some() && (which.all || which.instances.len() > 1) {
        bail!("--console can't be used with more than one instance");
    }
    let targets =
        if which.all { everything(cx, &which.instances, &request.action).await? } else { named(cx, &which.instances)? };
    let verb = if request.action == "freeze" { "pause".to_owned() } else { request.action.clone() };
    match targets.as_slice() {
        [(server, name)] => {
            one(cx, server, name, &request).await?;
            match console {
                Some(_) => super::console::attach(cx, server, name).await,
                None => Ok(()),
            }
        }
        several => all(cx, several, &request, &verb).await,
    }
}

fn named(cx: &Context, words: &[String]) -> Result<Vec<(Server, String)>> {
    words
        .iter()
        .map(|word| match cx.locate(word)? {
            (_, name) if name.is_empty() => bail!("Must supply instance name for: \"{word}\""),
            found => Ok(found),
        })
        .collect()
}

/// Every instance of the remotes for which `action` would change something.
async fn everything(cx: &Context, remotes: &[String], action: &str) -> Result<Vec<(Server, String)>> {
    let default = [format!("{}:", cx.settings.default_remote)];
    let remotes = if remotes.is_empty() { &default } else { remotes };
    let mut targets = Vec::new();
    for remote in remotes {
        let server = cx.server_only(Some(remote))?;
        let instances: Vec<Instance> = server.get(&(url(&["instances"]) + "?recursion=1")).await?;
        let concerned = instances.into_iter().filter(|instance| match action {
            "start" => instance.status_code != StatusCode::RUNNING,
            "stop" => instance.status_code != StatusCode::STOPPED,
            _ => instance.status_code == StatusCode::RUNNING,
        });
        targets.extend(concerned.map(|instance| (server.clone(), instance.name)));
    }
    Ok(targets)
}

/// One instance: its failure is the command's.
async fn one(cx: &Context, server: &Server, name: &str, request: &InstanceStatePut) -> Result<()> {
    let mut request = request.clone();
    let path = url(&["instances", name]);
    if request.action == "start" {
        let instance: Instance = server.get(&path).await?;
        if instance.status_code == StatusCode::FROZEN {
            request.action = "unfreeze".into();
        }
        // Asking for saved state where there is none is refused.
        request.stateful = request.stateful && instance.stateful;
    }
    let operation = server.start(Method::PUT, &format!("{path}/state"), &request, "").await?;
    let ended = cx.wait(server, operation, "").await.map(drop);
    // What its log has is of starts.
    if matches!(request.action.as_str(), "start" | "restart") {
        let more =
            |error| anyhow::anyhow!("{error:#}\nTry `hull info --show-log {}` for more info", shown(server, name));
        return ended.map_err(more);
    }
    ended
}

/// Several instances, side by side: each failure is told with its name.
async fn all(cx: &Context, targets: &[(Server, String)], request: &InstanceStatePut, verb: &str) -> Result<()> {
    let results = join_all(targets.iter().map(|(server, name)| one(cx, server, name, request))).await;
    let mut failed = false;
    for ((server, name), result) in targets.iter().zip(results) {
        if let Err(error) = result {
            failed = true;
            for (index, line) in format!("{error:#}").lines().enumerate() {
                let kind = if index == 0 { "error: " } else { "" };
                cx.printer.note(format!("{}: {kind}{line}", shown(server, name)));
            }
        }
    }
    if failed {
        cx.printer.note("");
        bail!("Some instances failed to {verb}");
    }
    Ok(())
}

fn shown(server: &Server, name: &str) -> String {
    if server.remote == "local" { name.to_owned() } else { format!("{}:{name}", server.remote) }
}
