//! Containers start, run commands, show what they use, and leave nothing.

mod support;

use hull_plugin::Code;
use hull_plugin::instance::*;
use hull_plugin::testing::context;
use support::{exec_spec, with_driver};

#[test]
fn a_container_boots_and_commands_report_their_ends() {
    with_driver("boots", async |hull| {
        let (id, _) = hull.running("c1", &[("environment.COLOUR", "blue")]).await;
        assert_eq!(hull.exec(&id, &["true"]).await.status, 0);
        assert_eq!(hull.exec(&id, &["false"]).await.status, 1 << 8);
        assert_eq!(hull.exec(&id, &["sh", "-c", "exit 42"]).await.status, 42 << 8);
        assert_eq!(hull.exec(&id, &["sh", "-c", "kill -9 $$"]).await.status, 9);
        let output = hull.exec(&id, &["sh", "-c", "echo out; echo err >&2; pwd"]).await;
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n/root\n", "err\n"));
        let environment = hull.exec(&id, &["cat", "/proc/1/environ"]).await.stdout;
        assert_eq!(environment.split('\0').collect::<Vec<_>>(), ["COLOUR=blue", "container=lxc", ""]);
    });
}
