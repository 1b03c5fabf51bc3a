//! A minute of the fault campaign (`cargo xtask faults` has the rest): drivers that misbehave disturb nobody.

use std::time::Duration;

use anyhow::Result;
use hull_integration::Target;
use hull_integration::faults::{Campaign, Options};

const BUDGET: Duration = Duration::from_secs(60);

#[test]
fn what_goes_wrong_in_a_driver_is_noticed_by_its_caller_only() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(()); // one process: there is nothing to go wrong apart from everything else
    }
    let options = Options { seed: 1, budget: Some(BUDGET), ..Options::default() };
    let report = Campaign::run(&options)?;
    eprintln!("{report}");
    assert!(report.cells() > 0, "not one cell fits {BUDGET:?}");
    assert_eq!(report.findings(), [], "the commands that repeat them are above");
    Ok(())
}
