//! What a manifest asks for, in words for people, and what one asks for beyond another.

use std::collections::BTreeSet;

use hull_plugin::{Limits, Manifest, Namespace, NetworkAccess, Sandbox, User};

/// One line for each thing it may do beyond what every plugin may.
pub(crate) fn permissions(manifest: &Manifest) -> Vec<String> {
    let own = words(&manifest.sandbox).into_iter().chain(scalars(&manifest.sandbox));
    let services = manifest.services.iter().flat_map(|service| {
        let path = service.program.display();
        let all = words(&service.sandbox).into_iter().chain(scalars(&service.sandbox));
        std::iter::once(format!("service `{}`: runs `{path}`", service.name))
            .chain(all.map(|text| format!("service `{}`: {text}", service.name)).collect::<Vec<_>>())
    });
    own.chain(helper(manifest)).chain(limits(&manifest.limits)).chain(services).collect()
}

/// A helper has walls of its own: none but its capabilities.
fn helper(manifest: &Manifest) -> Vec<String> {
    let Some(helper) = &manifest.helper else { return Vec::new() };
    let runs = format!("helper: runs `{}`", helper.program);
    std::iter::once(runs).chain(helper.capabilities.iter().map(|name| format!("helper: capability {name}"))).collect()
}

/// What `new` may do that `old` may not; empty if nothing.
pub(super) fn growth(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut more = grown(&old.sandbox, &new.sandbox);
    let had = helper(old);
    more.extend(helper(new).into_iter().filter(|text| !had.contains(text)));
    more.extend(grown_limits(&old.limits, &new.limits));
    for service in &new.services {
        let named = |text: String| format!("service `{}`: {text}", service.name);
        let known = old.services.iter().find(|old| old.name == service.name && old.program == service.program);
        let Some(known) = known else {
            more.push(named(format!("runs `{}`", service.program.display())));
            let all = words(&service.sandbox).into_iter().chain(scalars(&service.sandbox));
            more.extend(all.map(named));
            continue;
        };
        let beyond = grown(&known.sandbox, &service.sandbox).into_iter();
        more.extend(beyond.chain(grown_limits(&known.limits, &service.limits)).map(named));
    }
    more
}

fn grown(old: &Sandbox, new: &Sandbox) -> Vec<String> {
    let had = words(old);
    let mut grown: Vec<String> = words(new).into_iter().filter(|word| !had.contains(word)).collect();
    if user_rank(new.user) > user_rank(old.user) {
        grown.push(user(new.user).into());
    }
    if network_rank(new.network) > network_rank(old.network) {
        grown.push(network(new.network).into());
    }
    if new.process_namespace == Namespace::Host && old.process_namespace == Namespace::Private {
        grown.push(HOST_PROCESSES.into());
    }
    grown
}

const HOST_PROCESSES: &str = "what it starts outlives it";

/// What is there or not.
fn words(sandbox: &Sandbox) -> BTreeSet<String> {
    // Everything is named, so that a new right is thought of here. Those that have degrees are in `scalars`.
    let Sandbox {
        user: _,
        capabilities,
        network: _,
        process_namespace: _,
        read,
        write,
        execute,
        devices,
        system_calls,
        pool,
        state,
        cgroup,
        proc,
    } = sandbox;
    let mut words = BTreeSet::new();
    words.extend(capabilities.iter().map(|name| format!("capability {name}")));
    words.extend(read.iter().map(|path| format!("reads `{}`", path.display())));
    words.extend(write.iter().map(|path| format!("writes `{}`", path.display())));
    words.extend(execute.iter().map(|path| format!("runs `{}`", path.display())));
    words.extend(devices.iter().map(|path| format!("uses the device `{}`", path.display())));
    words.extend(system_calls.iter().map(|name| format!("system calls {name}")));
    let flags = [
        (pool, "writes the pool"),
        (state, "has a directory of its own"),
        (cgroup, "changes Hull's control groups"),
        (proc, "sees a procfs"),
    ];
    words.extend(flags.into_iter().filter(|(is_set, _)| **is_set).map(|(_, text)| text.to_owned()));
    words
}

fn scalars(sandbox: &Sandbox) -> Vec<String> {
    let mut lines = vec![user(sandbox.user).to_owned()];
    if sandbox.network != NetworkAccess::None {
        lines.push(network(sandbox.network).into());
    }
    if sandbox.process_namespace == Namespace::Host {
        lines.push(HOST_PROCESSES.into());
    }
    lines
}

fn user(user: User) -> &'static str {
    match user {
        User::Dynamic => "runs as a user used for nothing else",
        User::Namespace => "runs as root of a user namespace of its own",
        User::InstanceIds => "runs as root of a user namespace with the instances' ids",
        User::HostRoot => "runs as the host's root",
    }
}

fn user_rank(user: User) -> u8 {
    match user {
        User::Dynamic => 0,
        User::Namespace => 1,
        User::InstanceIds => 2,
        User::HostRoot => 3,
    }
}

fn network(access: NetworkAccess) -> &'static str {
    match access {
        NetworkAccess::None => "no network",
        NetworkAccess::Client => "connects to the network",
        NetworkAccess::Host => "sees the host's network",
    }
}

fn network_rank(access: NetworkAccess) -> u8 {
    match access {
        NetworkAccess::None => 0,
        NetworkAccess::Client => 1,
        NetworkAccess::Host => 2,
    }
}

fn limits(limits: &Limits) -> [String; 3] {
    let Limits { memory, processes, open_files } = limits;
    let mebibytes = memory >> 20;
    [
        format!("at most {mebibytes} MiB of memory"),
        format!("at most {processes} processes"),
        format!("at most {open_files} open files"),
    ]
}

fn grown_limits(old: &Limits, new: &Limits) -> Vec<String> {
    let pairs = [(old.memory, new.memory), (old.processes, new.processes), (old.open_files, new.open_files)];
    limits(new).into_iter().zip(pairs).filter(|(_, (old, new))| new > old).map(|(text, _)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(sandbox: &str) -> Manifest {
        let text = format!(
            "name = \"image-test\"\nkind = \"image\"\ndescription = \"A test.\"\nversion = \"1\"\n\
             contract = {{ oldest = 1, newest = 1 }}\n{sandbox}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn less_is_no_growth_and_more_is_told_line_by_line() {
        let small = manifest("[sandbox]\nread = [\"/etc/hosts\"]\n");
        let large = manifest(
            "[sandbox]\nuser = \"host-root\"\nnetwork = \"host\"\nread = [\"/etc/hosts\", \"/etc/shadow\"]\n\
             capabilities = [\"NET_ADMIN\"]\n[limits]\nmemory = 1073741824\n[[service]]\nname = \"s\"\nprogram = \"/bin/s\"\n",
        );
        assert_eq!(growth(&large, &small), [""; 0]);
        assert_eq!(growth(&large, &large), [""; 0]);
        assert_eq!(
            growth(&small, &large),
            [
                "capability NET_ADMIN",
                "reads `/etc/shadow`",
                "runs as the host's root",
                "sees the host's network",
                "at most 1024 MiB of memory",
                "service `s`: runs `/bin/s`",
                "service `s`: runs as a user used for nothing else",
            ]
        );
        let helped = manifest("[helper]\nprogram = \"h\"\ncapabilities = [\"SYS_ADMIN\"]\n");
        assert_eq!(growth(&manifest(""), &helped), ["helper: runs `h`", "helper: capability SYS_ADMIN"]);
        assert_eq!(growth(&helped, &helped), [""; 0]);
        assert!(permissions(&small).contains(&"reads `/etc/hosts`".to_owned()));
    }
}
