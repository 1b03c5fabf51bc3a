//! `cargo xtask test`: sets up, builds, runs every test.

use anyhow::Result;

use crate::setup::{self, Setup};
use crate::workspace::{cargo, say, succeed};

/// Set up, build, and run every test; or the stories against another daemon
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Run only the stories, against this daemon
    #[arg(long, value_enum)]
    against: Option<Target>,
    /// Passed on to nextest: filters, `--no-capture`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// A daemon that stories can be told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    Hull,
    /// The real LXD: a story that it fails is a wrong story
    Lxd,
}

pub(crate) fn run(test: &Test) -> Result<()> {
    setup::run(&Setup { lxd: test.against == Some(Target::Lxd), ci: false })?;
    // Stories start the programs as users do: they have to be built, and nextest builds only what tests link.
    say("building");
    succeed(&mut cargo(&["build", "--workspace", "--bins"])?)?;
    say("testing");
    match test.against {
        None => {
            succeed(cargo(&["nextest", "run", "--workspace"])?.args(&test.rest))?;
            if test.rest.is_empty() {
                say("testing the examples in the documentation");
                succeed(&mut cargo(&["test", "--quiet", "--doc", "--workspace"])?)?;
            }
            Ok(())
        }
        Some(target) => {
            let name = if target == Target::Lxd { "lxd" } else { "hull" };
            let mut stories = cargo(&["nextest", "run", "--package", "hull-integration"])?;
            succeed(stories.args(&test.rest).env("HULL_TEST_TARGET", name))
        }
    }
}
