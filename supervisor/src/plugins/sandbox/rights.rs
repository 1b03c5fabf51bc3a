//! Capabilities, landlock and resource limits of the process that is about to become the program.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};
use hull_plugin::Namespace;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::plan::Landlock;
use super::stage::{Context, StageError};

/// The newest landlock the rules were written for; older kernels get what they know.
const LANDLOCK: ABI = ABI::V6;

/// The machine's own bound may be lower.
pub(super) fn bound_files(open_files: u64) -> Result<(), StageError> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).during("cannot ask for the bound on open files")?;
    let open_files = open_files.min(most);
    setrlimit(Resource::RLIMIT_NOFILE, open_files, open_files).during("cannot bound open files")?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).during("cannot forbid core files")
}

/// No exec can give more than `names` any more.
pub(super) fn bound_capabilities(names: &[String]) -> Result<(), StageError> {
    let kept = parse(names)?;
    for capability in caps::runtime::thread_all_supported().difference(&kept) {
        caps::drop(None, CapSet::Bounding, *capability).during(format_args!("cannot drop {capability}"))?;
    }
    Ok(())
}

/// Gives up all capabilities but `names`.
pub(super) fn keep_capabilities(names: &[String], user: u32) -> Result<(), StageError> {
    let kept = if user == 0 { parse(names)? } else { CapsHashSet::new() };
    caps::clear(None, CapSet::Inheritable).during("cannot clear capabilities")?;
    caps::set(None, CapSet::Effective, &kept).during("cannot reduce capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).during("cannot reduce capabilities")
}

fn parse(names: &[String]) -> Result<CapsHashSet, StageError> {
    let capability = |name: &String| {
        Capability::from_str(&format!("CAP_{name}")).during(format_args!("its manifest names capability `{name}`"))
    };
    names.iter().map(capability).collect::<Result<HashSet<_>, _>>()
}

/// Puts landlock in force, as far as the kernel has it.
pub(super) fn landlock(rules: &Landlock, signals: Namespace) -> Result<(), StageError> {
    let what = "cannot confine it with landlock";
    let everything = AccessFs::from_all(LANDLOCK);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    if matches!(rules, Landlock::Files { .. }) {
        ruleset = ruleset.handle_access(everything).during(what)?;
    }
    let scope = match (rules, signals) {
        (Landlock::Nothing, _) => return Ok(()),
        (_, Namespace::Private) => Scope::AbstractUnixSocket | Scope::Signal,
        (_, Namespace::Host) => Scope::AbstractUnixSocket.into(),
    };
    let mut ruleset = ruleset.scope(scope).during(what)?.create().during(what)?;
    if let Landlock::Files { write, execute } = rules {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new("/").during(what)?, read)).during(what)?;
        let written = write.iter().map(|path| (path, everything & !AccessFs::Execute));
        let executed = execute.iter().map(|path| (path, read | AccessFs::Execute));
        for (path, access) in written.chain(executed) {
            // What the machine does not have needs no rule.
            let Ok(place) = PathFd::new(path) else { continue };
            ruleset = ruleset.add_rule(PathBeneath::new(place, fitting(path, access))).during(what)?;
        }
    }
    ruleset.restrict_self().during(what).map(drop)
}

/// Rights over directories make no sense for a file.
fn fitting(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) }
}
