//! A hostile program for the tests of the sandboxes: it tries what it was told to and prints what came of it.
//!
//! `hostile TARGETS ATTEMPT…`: the first argument is a JSON object that says where on the host the loot is; each attempt
//! prints a line `{"attempt": …, "outcome": …}`. `allowed`: the attempt succeeded; otherwise the kernel's error.
#![allow(clippy::print_stdout)] // its report

mod files;
mod kernel;
mod loot;
mod mounts;
mod network;
mod processes;
mod resources;
mod sys;

use std::io;

use loot::Targets;

/// Something that no sandbox should allow.
type Attempt = (&'static str, fn(&Targets) -> io::Result<()>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let targets = arguments.next().and_then(|text| serde_json::from_str::<Targets>(&text).ok());
    let Some(targets) = targets else { return eprintln!("hostile: it is for the tests of the sandboxes") };
    let wanted: Vec<String> = arguments.collect();
    for (name, attempt) in all() {
        if wanted.is_empty() && !resources::ALONE.contains(&name) || wanted.iter().any(|one| one == name) {
            // A process of its own: what an attempt has changed is nothing to the next.
            let outcome = match processes::ABOUT_ITSELF.contains(&name) {
                true => describe(attempt(&targets)),
                false => {
                    sys::apart(|| describe(attempt(&targets))).unwrap_or_else(|error| format!("not tried: {error}"))
                }
            };
            println!("{}", serde_json::json!({ "attempt": name, "outcome": outcome }));
        }
    }
}

fn all() -> Vec<Attempt> {
    let groups = [
        files::ATTEMPTS,
        processes::ATTEMPTS,
        mounts::ATTEMPTS,
        network::ATTEMPTS,
        kernel::ATTEMPTS,
        resources::ATTEMPTS,
    ];
    let mut all = groups.concat();
    // Before anything else can have opened or changed something.
    all.sort_by_key(|(name, _)| !processes::ABOUT_ITSELF.contains(name));
    all
}

fn describe(result: io::Result<()>) -> String {
    match result {
        Ok(()) => "allowed".into(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("{:?}", nix::errno::Errno::from_raw(number)),
            None => error.to_string(),
        },
    }
}
