//! What the driver says about itself.

use hull_plugin::{ConfigKey, Description, ValueKind};

use crate::config::RESOURCES;

pub(crate) fn description() -> Description {
    Description {
        driver: "container".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        capabilities: ["type:container", "exec", "console", "files", "freeze", "mounts", "idmapped_mounts", "recover"]
            .map(Into::into)
            .into(),
        config: keys(),
        item_config: Vec::new(),
        // A list of a thousand instances asks for the state of each at once, and each is a few system calls.
        concurrency: 64,
        queue: 8192,
    }
}

/// Lines of `raw.lxc` that [`crate::config::check_raw`] takes.
const RAW: &str = r"(?:[ \t]*(?:#[^\n]*|lxc\.signal\.(?:halt|reboot)[ \t]*=[ \t]*(?:[A-Z][A-Z0-9]*(?:\+[0-9]{1,2})?|[0-9]{1,2}))?[ \t\r]*(?:\n|\z))*";
/// Lines of the lists that [`crate::seccomp::filter`] reads.
const CALLS: &str =
    r"(?:[ \t]*(?:\[all\]|[a-z_][a-z0-9_]*(?:[ \t]+(?:errno[ \t]+[0-9]+|kill))?)?[ \t]*(?:#[^\n]*)?\r?(?:\n|\z))*";
const LIMIT: &str = "(?:unlimited|[0-9]+)(?::(?:unlimited|[0-9]+))?";
const NO: &str = "(?i:false|no|off|0)";

fn keys() -> Vec<ConfigKey> {
    use ValueKind::{Boolean, Text};
    let at_start =
        |name: &str, kind, default, doc| ConfigKey { live: false, ..ConfigKey::new(name, kind, default, doc) };
    let calls = || ValueKind::matching(CALLS, "write `NAME` or `NAME errno NUMBER`, one a line");
    let raw =
        "only `lxc.signal.halt` and `lxc.signal.reboot` are supported, one a line; most others have a key of their own";
    let privileged = "privileged containers are not supported; `security.nesting` covers most reasons for one";
    let mut keys = vec![
        at_start("environment.*", Text, "", "Environment variables for the instance's init and for commands run in it"),
        at_start("linux.sysctl.*", Text, "", "Kernel parameters set inside before init runs"),
        at_start(
            "raw.lxc",
            ValueKind::matching(RAW, raw),
            "",
            "`lxc.signal.halt` and `lxc.signal.reboot`: the signals that stop and restart init",
        ),
        at_start("security.nesting", Boolean, "false", "Let containers be run inside the container"),
        at_start(
            "security.privileged",
            ValueKind::matching(NO, privileged),
            "false",
            "Not supported: containers always have ids of their own",
        ),
        at_start(
            "security.syscalls.allow",
            calls(),
            "",
            "The only system calls allowed, one a line; others end the process",
        ),
        at_start(
            "security.syscalls.deny",
            calls(),
            "",
            "System calls to deny, one a line: `NAME` or `NAME errno NUMBER`",
        ),
        at_start("security.syscalls.deny_compat", Boolean, "false", "Deny the system calls of 32-bit programs"),
        at_start("security.syscalls.deny_default", Boolean, "true", "Deny the system calls that reach past containers"),
    ];
    let limit = || ValueKind::matching(LIMIT, "write a number, `unlimited`, or `SOFT:HARD`");
    let doc = "Resource limit of each process, as `NUMBER`, `unlimited` or `SOFT:HARD`";
    keys.extend(RESOURCES.map(|name| at_start(&format!("limits.kernel.{name}"), limit(), "", doc)));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, seccomp};
    use hull_plugin::ConfigMap;

    /// What is refused when it is set, is what would be refused at the start.
    #[test]
    fn the_expressions_say_what_the_start_would_say() {
        let matches = |key: &str, value: &str| {
            let key = keys().into_iter().find(|one| one.name == key).unwrap();
            let ValueKind::Matching { pattern, .. } = key.kind else { panic!("{} has no expression", key.name) };
            regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap().is_match(value)
        };
        let with = |key: &str, value: &str| ConfigMap::from([(key.to_owned(), value.to_owned())]);
        for raw in
            ["lxc.signal.halt = SIGUSR1\n# x\n", "lxc.signal.reboot=SIGRTMIN+3", "# only a remark", "\n\n", "foo"]
        {
            assert_eq!(matches("raw.lxc", raw), config::check_raw(&with("raw.lxc", raw)).is_ok(), "{raw:?}");
        }
        assert!(!matches("raw.lxc", "lxc.mount.entry = /x x none bind 0 0"));
        for calls in
            ["keyctl", "# none\n[all]\nptrace errno 1\nkeyctl # why\n", "ptrace kill", "ptrace errno x", "a b c"]
        {
            let key = "security.syscalls.deny";
            assert_eq!(matches(key, calls), seccomp::filter(&with(key, calls)).is_ok(), "{calls:?}");
        }
        for limit in ["1024", "1024:2048", "unlimited", "1:unlimited", "abc", "1:2:3", ""] {
            let key = "limits.kernel.nofile";
            assert_eq!(matches(key, limit), config::confinement(&with(key, limit)).is_ok(), "{limit:?}");
        }
        assert!(matches("security.privileged", "False") && !matches("security.privileged", "true"));
    }
}
