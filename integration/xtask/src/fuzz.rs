//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, each for a while.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::workspace::{cache, cargo, root, say, succeed, target};

/// Fuzz what parses foreign bytes: all targets in turn, or one
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// Only this target (a name in `fuzz/fuzz_targets`)
    target: Option<String>,
    /// How long each target runs
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Run the target on this file only, once
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// An input that takes longer, or needs more, is a finding.
const SLOWEST: &str = "-timeout=20"; // seconds
const LARGEST: &str = "-rss_limit_mb=1024";
/// Longer inputs find little that shorter ones do not.
const LONGEST: &str = "-max_len=65536";

pub(crate) fn run(fuzz: &Fuzz) -> Result<()> {
    setup::for_fuzzing()?;
    let known = targets()?;
    let chosen: Vec<&String> = match &fuzz.target {
        Some(target) => known.iter().filter(|name| *name == target).collect(),
        None => known.iter().collect(),
    };
    if chosen.is_empty() {
        bail!("there is no such target; there are: {}", known.join(", "));
    }
    let built = build(&chosen)?;
    let mut findings = Vec::new();
    for target in chosen {
        say(&format!("fuzzing {target}"));
        let mut command = fuzzer(&built, target, fuzz)?;
        if let Err(error) = succeed(&mut command) {
            eprintln!("{error:#}");
            findings.push(format!("{target}: see above; all inputs of its kind: `{}`", artifacts(target)?.display()));
        }
    }
    if !findings.is_empty() {
        bail!(
            "{} targets have findings; again with `cargo xtask fuzz TARGET --input FILE`:\n  {}",
            findings.len(),
            findings.join("\n  ")
        );
    }
    Ok(())
}

/// All of them, by their programs.
fn targets() -> Result<Vec<String>> {
    let folder = root()?.join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let stem = |path: PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Ok(names)
}

/// Where libFuzzer puts the inputs of findings.
fn artifacts(target: &str) -> Result<PathBuf> {
    Ok(cache()?.join("fuzz/findings").join(target))
}

/// Builds the programs of the targets: an ordinary build but for the workspace's own crates, which count their branches.
/// No sanitizer: all but zstd's decoder is safe Rust, and those take an unstable compiler. Overflows and failed assertions
/// are found anyhow. (`cargo fuzz run --fuzz-dir fuzz --features libfuzzer TARGET` works, too; it builds everything anew.)
fn build(targets: &[&String]) -> Result<PathBuf> {
    say("building");
    let mut command = cargo(&["build", "--package", "hull-fuzz", "--features", "libfuzzer"])?;
    command.args(targets.iter().flat_map(|target| ["--bin", target.as_str()]));
    command.env("RUSTC_WORKSPACE_WRAPPER", root()?.join("fuzz/rustc-with-coverage"));
    // Four times as many runs as without.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
    succeed(&mut command)?;
    Ok(target()?.join("debug"))
}

fn fuzzer(built: &Path, target: &str, fuzz: &Fuzz) -> Result<Command> {
    let (corpus, findings) = (cache()?.join("fuzz/corpus").join(target), artifacts(target)?);
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let mut command = Command::new(built.join(target));
    command.args([SLOWEST, LARGEST, LONGEST]).arg(format!("-artifact_prefix={}/", findings.display()));
    match &fuzz.input {
        Some(file) => command.arg(file),
        None => {
            command.arg(format!("-max_total_time={}", fuzz.seconds));
            command.arg(&corpus).arg(root()?.join("fuzz/seeds").join(target))
        }
    };
    Ok(command)
}
