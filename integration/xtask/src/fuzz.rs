//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, each for a while.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::workspace::{cache, cargo, root, say, shown, succeed};

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
    let mut findings = Vec::new();
    for target in chosen {
        say(&format!("fuzzing {target}"));
        let mut command = fuzzer(target, fuzz)?;
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

/// cargo-fuzz on one target. No sanitizer: all but zstd's decoder is safe Rust, sanitizers take a nightly compiler, and
/// without one there are several times more runs. Overflows and failed assertions are found anyhow.
fn fuzzer(target: &str, fuzz: &Fuzz) -> Result<Command> {
    let place = cache()?.join("fuzz");
    let (corpus, findings) = (place.join("corpus").join(target), artifacts(target)?);
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let mut command = cargo(&["fuzz", "run", "--fuzz-dir", "fuzz", "--features", "libfuzzer", "--sanitizer", "none"])?;
    command.arg("--target-dir").arg(place.join("target")).arg(target);
    match &fuzz.input {
        Some(file) => command.arg(std::path::absolute(file).context("the input is no path")?),
        None => command.arg(&corpus).arg(root()?.join("fuzz/seeds").join(target)),
    };
    command.args(["--", SLOWEST, LARGEST, LONGEST]);
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    if fuzz.input.is_none() {
        command.arg(format!("-max_total_time={}", fuzz.seconds));
    }
    // Quicker to build than the release that is shipped.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    say(&shown(&command));
    Ok(command)
}
