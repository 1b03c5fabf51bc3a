//! Commands in an instance, through the real client.

use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Host, Target, Websocket, until};
use serde_json::json;

#[test]
fn a_command_has_streams_a_status_and_an_environment() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;

    assert_eq!(
        web.exec(&["sh", "-c", "echo out; echo err >&2; exit 42"])?,
        hull_integration::Finished { status: 42, stdout: "out\n".into(), stderr: "err\n".into() }
    );
    for (command, status, words) in
        [("/no/such/thing", 127, "Error: Command not found\n"), ("/etc/passwd", 126, "Error: Command not executable\n")]
    {
        for client in host.clients()? {
            let ended = host.with(&client, &["exec", "web", "--", command], "")?;
            assert_eq!((ended.status, ended.stderr.as_str()), (status, words), "{command} by {client}");
        }
    }
    assert_eq!(web.exec(&["pwd"])?.ok()?, "/root\n");
    assert_eq!(web.exec(&["sh", "-c", "kill -9 $$"])?.status, 137);

    let typed = host.client_with_input(&["exec", "web", "--", "cat"], "line one\nline two\n")?;
    assert_eq!(typed.ok()?, "line one\nline two\n");

    let environment = host.client(&["exec", "web", "--env", "A=b c", "--", "env"])?.ok()?;
    for line in ["A=b c", "HOME=/root", "USER=root", "LANG=C.UTF-8", "container=lxc"] {
        assert!(environment.lines().any(|one| one == line), "{line} in {environment}");
    }
    let user = host.client(&[
        "exec",
        "web",
        "--user",
        "1000",
        "--group",
        "1000",
        "--cwd",
        "/tmp",
        "--",
        "sh",
        "-c",
        "id -u; id -g; pwd",
    ])?;
    assert_eq!(user.ok()?, "1000\n1000\n/tmp\n");
    host.assert_nothing_leaked()
}

#[test]
fn a_terminal_is_one() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    let forced = host.client(&["exec", "-t", "web", "--", "sh", "-c", "tty; test -t 0 && echo yes; exit 7"])?;
    assert!(forced.stdout.contains("/dev/pts/"), "{forced:?}");
    assert!(forced.stdout.contains("yes"), "{forced:?}");
    host.assert_nothing_leaked()
}

#[test]
fn a_terminal_ends_with_its_command_whoever_else_has_it() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    for background in ["sleep 600", "yes"] {
        let script = format!("trap '' HUP; {background} & echo started; exit 7");
        let begun = std::time::Instant::now();
        let ended = host.client(&["exec", "-t", "web", "--", "sh", "-c", &script])?;
        assert_eq!(ended.status, 7, "{background}");
        assert!(ended.stdout.contains("started"), "{background}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{background}");
    }
    host.assert_nothing_leaked()
}

/// The operation of a command, and its websockets by name.
fn begin(host: &Host, command: &[&str], connected: &[&str]) -> Result<(String, Vec<Websocket>)> {
    let body = json!({"command": command, "wait-for-websocket": true, "interactive": false});
    let operation = host.rest.post("/1.0/instances/web/exec", &body)?.metadata()?;
    let url = format!("/1.0/operations/{}", operation["id"].as_str().context("an id")?);
    let connect = |name: &&str| {
        let secret = operation["metadata"]["fds"][*name].as_str().context("a secret")?;
        Websocket::connect(&host.socket(), &format!("{url}/websocket?secret={secret}"))
    };
    let websockets = connected.iter().map(connect).collect::<Result<_>>()?;
    Ok((url, websockets))
}

#[test]
fn a_command_whose_client_vanishes_is_killed() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let (operation, websockets) = begin(&host, &["sleep", "4712"], &["control", "0", "1", "2"])?;
    drop(websockets);
    until("the command is gone", Duration::from_secs(20), || {
        (!web.exec(&["ps"]).ok()?.stdout.contains("sleep 4712")).then_some(())
    })?;
    until("its operation has ended", Duration::from_secs(20), || {
        let shown = host.rest.get(&operation).ok()?;
        (shown.status == 404 || shown.metadata().ok()?["status"] != "Running").then_some(())
    })?;
    host.assert_nothing_leaked()
}

#[test]
fn a_command_whose_client_never_comes_is_killed() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // not every version does
    }
    let web = host.running("web")?;
    let (operation, _one) = begin(&host, &["cat"], &["1"])?;
    let ended = host.rest.get(&format!("{operation}/wait"))?.metadata()?;
    assert_eq!(ended["status"], "Failure");
    assert_eq!(ended["err"], "Timed out waiting for websockets to connect");
    assert!(!web.exec(&["ps"])?.stdout.lines().any(|line| line.ends_with(" cat")));
    host.assert_nothing_leaked()
}

#[test]
fn many_commands_at_once_all_end() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let outputs = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..24)
            .map(|n| {
                let web = &web;
                scope.spawn(move || web.exec(&["echo", &n.to_string()]).and_then(|done| done.ok()))
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect::<Result<Vec<_>>>()
    })?;
    assert_eq!(outputs, (0..24).map(|n| format!("{n}\n")).collect::<Vec<_>>());
    host.assert_nothing_leaked()
}

#[test]
fn no_byte_of_a_long_output_is_lost() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let output = web.exec(&["sh", "-c", "seq 1 200000"])?.ok()?;
    assert_eq!(output.lines().count(), 200_000);
    assert_eq!(output.lines().last(), Some("200000"));
    host.assert_nothing_leaked()
}
