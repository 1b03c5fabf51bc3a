//! What the driver says about itself.

use hull_plugin::{ConfigKey, Description, ValueKind};

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

fn keys() -> Vec<ConfigKey> {
    use ValueKind::{Boolean, Text};
    let at_start = |name, kind, default, doc| ConfigKey { live: false, ..ConfigKey::new(name, kind, default, doc) };
    vec![
        at_start("environment.*", Text, "", "Environment variables for the instance's init and for commands run in it"),
        at_start(
            "limits.kernel.*",
            Text,
            "",
            "Resource limits of each process, as `NUMBER`, `unlimited` or `SOFT:HARD`",
        ),
        at_start("linux.sysctl.*", Text, "", "Kernel parameters set inside before init runs"),
        at_start(
            "raw.lxc",
            Text,
            "",
            "`lxc.signal.halt` and `lxc.signal.reboot`: the signals that stop and restart init",
        ),
        at_start("security.nesting", Boolean, "false", "Let containers be run inside the container"),
        at_start("security.privileged", Boolean, "false", "Not supported: containers always have ids of their own"),
        at_start(
            "security.syscalls.allow",
            Text,
            "",
            "The only system calls allowed, one a line; others end the process",
        ),
        at_start("security.syscalls.deny", Text, "", "System calls to deny, one a line: `NAME` or `NAME errno NUMBER`"),
        at_start("security.syscalls.deny_compat", Boolean, "false", "Deny the system calls of 32-bit programs"),
        at_start("security.syscalls.deny_default", Boolean, "true", "Deny the system calls that reach past containers"),
    ]
}
