//! A hostile program in the walls of every plugin, of every service and of the gateway: what it gets out of each.
//!
//! The walls are those that hulld builds from the manifests in `plugins/`. Every attempt must be denied, except for what is
//! listed in [`common::walls`] with the reason why that is no harm; and what the filter denies must be in the log under the name of
//! whoever tried.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod common;

use std::collections::BTreeMap;

use common::hostile::Ground;
use common::walls::{self, Subject};

/// What only the filter stands against, and how it is called in the log: tried everywhere, granted nowhere.
const LOGGED: [(&str, &str); 22] = [
    ("ptrace-attach", "ptrace"),
    ("read-foreign-memory", "process_vm_readv"),
    ("write-foreign-memory", "process_vm_writev"),
    ("open-by-handle", "open_by_handle_at"),
    ("fanotify", "fanotify_init"),
    ("quotactl", "quotactl"),
    ("swapon", "swapon"),
    ("swapoff", "swapoff"),
    ("packet-socket", "socket"),
    ("add-key", "add_key"),
    ("request-key", "request_key"),
    ("load-bpf", "bpf"),
    ("open-performance-event", "perf_event_open"),
    ("userfaultfd", "userfaultfd"),
    ("io-uring", "io_uring_setup"),
    ("type-into-terminal-in-disguise", "ioctl"),
    ("load-module", "init_module"),
    ("kexec", "kexec_load"),
    ("reboot", "reboot"),
    ("set-clock", "clock_settime"),
    ("read-kernel-ring", "syslog"),
    ("account", "acct"),
];

/// Without those that run alone; ARCHITECTURE.md counts all.
const TOGETHER: usize = 166;

/// CVE-2018-16359 (`rename-canary`) and CVE-2018-19333 (`system-v-shared-memory`) are among the attempts.
#[tokio::test]
async fn sec_t25_a_hostile_program_gets_nothing_out_of_any_sandbox() {
    let ground = Ground::new().await;
    let mut wrong = Vec::new();
    for subject in walls::all() {
        let log_begin = ground.log().len();
        let outcomes = ground.attempts(&subject, &[]).await;
        assert_eq!(outcomes.len(), TOGETHER, "{}: {outcomes:?}", subject.name);
        wrong.extend(differences(&subject, &outcomes));
        wrong.extend(silent(&subject, &outcomes, &ground.log()[log_begin..]));
    }
    assert!(ground.is_unharmed(), "the victim was killed or the canary written");
    ground.close().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was allowed and is not listed, and what is listed and was not allowed.
fn differences(subject: &Subject, outcomes: &BTreeMap<String, String>) -> Vec<String> {
    let listed = |attempt: &str| subject.allowed.iter().any(|(name, _why)| *name == attempt);
    let mut found = Vec::new();
    for (attempt, outcome) in outcomes {
        if outcome == "allowed" && !listed(attempt) {
            found.push(format!("{}: `{attempt}` was allowed", subject.name));
        }
    }
    for (attempt, _) in &subject.allowed {
        let outcome = outcomes.get(*attempt).map_or("not tried", String::as_str);
        if outcome != "allowed" {
            found.push(format!("{}: `{attempt}` is listed as allowed, but it is {outcome}", subject.name));
        }
    }
    found
}

/// Denied system calls of which the log does not tell.
fn silent(subject: &Subject, outcomes: &BTreeMap<String, String>, log: &str) -> Vec<String> {
    let tells = |call: &str| {
        log.lines().any(|line| {
            line.contains(&format!("plugin=\"{}\"", subject.logged_as)) && line.contains(&format!("syscall=\"{call}\""))
        })
    };
    let denied = LOGGED.iter().filter(|(attempt, _)| outcomes.get(*attempt).is_some_and(|outcome| outcome == "EPERM"));
    let untold = denied.filter(|(_, call)| !tells(call));
    let mut found: Vec<String> =
        untold.map(|(attempt, call)| format!("{}: no line about `{call}` after `{attempt}`", subject.name)).collect();
    let expected = LOGGED.iter().filter(|(attempt, _)| outcomes.get(*attempt).is_none_or(|outcome| outcome != "EPERM"));
    found.extend(
        expected
            .map(|(attempt, _)| format!("{}: `{attempt}` is {:?}, not EPERM", subject.name, outcomes.get(*attempt))),
    );
    found
}

#[tokio::test]
async fn greed_ends_at_the_limits_and_hulld_lives() {
    let ground = Ground::new().await;
    for subject in walls::all() {
        let limits = subject.limits();
        let bomb = ground.run(&subject, &["fork-bomb"]).await;
        // Where many processes are allowed, their memory may be what ends it.
        let by_memory = bomb.end.contains("SIGKILL") || bomb.output.contains("killed by signal 9");
        assert!(bomb.output.contains("EAGAIN") || by_memory, "{}: {bomb:?}", subject.name);
        if let Some(rest) = bomb.output.split("\"forked\": ").nth(1) {
            let forked: u64 = rest.split('}').next().unwrap().parse().unwrap();
            assert!(forked < limits.processes, "{}: {bomb:?}", subject.name);
        }

        let hog = ground.run(&subject, &["memory-hog"]).await;
        let stopped = hog.output.contains("killed by signal") || hog.end.contains("SIGKILL");
        assert!(stopped, "{}: {hog:?}", subject.name);

        let descriptors = ground.run(&subject, &["descriptor-hog"]).await;
        assert!(descriptors.output.contains("EMFILE"), "{}: {descriptors:?}", subject.name);

        let disk = ground.run(&subject, &["fill-temporary"]).await;
        let bounded = ["ENOSPC", "ENOENT", "EROFS", "EACCES", "EDQUOT"].iter().any(|error| disk.output.contains(error));
        // What is in a `/tmp` of memory counts as the program's memory.
        let bounded = bounded || disk.end.contains("SIGKILL") || disk.output.contains("killed by signal 9");
        assert!(bounded, "{}: {disk:?}", subject.name);

        let foreign = ground.run(&subject, &["foreign-call"]).await;
        let refused = ["killed by signal 31", "ENOSYS"].iter().any(|how| foreign.output.contains(how));
        let refused = refused || foreign.end.contains("SIGSYS");
        assert!(refused, "{}: {foreign:?}", subject.name);
    }
    // hulld is this process: it is still here, and what it starts next works.
    let again = ground.run(&walls::all()[0], &["read-shadow"]).await;
    assert!(again.output.contains("ENOENT"), "{again:?}");
    ground.close().await;
}
