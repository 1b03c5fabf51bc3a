//! The same command lines through every client of the target: Debian's unmodified `lxc`, and `hull`.

use anyhow::{Context as _, Result};
use hull_integration::{Finished, Host, Target};
use serde_json::json;

/// The text of a command that must fail with status 1.
fn refused(finished: Finished) -> Result<String> {
    anyhow::ensure!(finished.status == 1, "expected a refusal: {finished:?}");
    Ok(finished.stderr)
}

#[test]
fn lists_have_formats_columns_and_filters() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    host.client(&["init", "busybox", "db", "-c", "user.team=shop", "-c", "limits.memory=64MiB"])?.ok()?;
    for client in host.clients()? {
        let list = |arguments: &[&str]| host.with(&client, &[&["list"], arguments].concat(), "")?.ok();
        let csv = |arguments: &[&str]| list(&[arguments, &["-f", "csv", "-c", "ns"]].concat());
        let table = list(&["-c", "nst"])?;
        assert!(table.contains("| NAME |  STATE  |   TYPE    |"), "{table}");
        assert!(table.contains("| web  | RUNNING | CONTAINER |"), "{table}");
        assert_eq!(csv(&[])?, "db,STOPPED\nweb,RUNNING\n");
        for (filter, found) in [
            ("web", "web,RUNNING\n"),
            ("^d", "db,STOPPED\n"),
            ("status=running", "web,RUNNING\n"),
            ("name=db", "db,STOPPED\n"),
            ("user.team=shop", "db,STOPPED\n"),
            ("user.team=none", ""),
            ("type=container", "db,STOPPED\nweb,RUNNING\n"),
        ] {
            assert_eq!(csv(&[filter])?, found, "{filter} by {client}");
        }
        assert_eq!(list(&["-f", "csv", "-c", "n,limits.memory:MEM"])?, "db,64MiB\nweb,\n");
        let json: serde_json::Value = serde_json::from_str(&list(&["-f", "json", "web"])?)?;
        assert_eq!((&json[0]["name"], &json[0]["state"]["status"]), (&"web".into(), &"Running".into()));
        assert!(list(&["-f", "yaml"])?.contains("name: web"));
        assert!(list(&["-f", "compact"])?.contains("NAME"));
        assert!(refused(host.with(&client, &["list", "-f", "none"], "")?)?.contains("Invalid format"));
    }
    host.assert_nothing_leaked()
}

#[test]
fn refusals_have_the_words_that_scripts_match() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    let _db = host.stopped("db")?;
    for client in host.clients()? {
        for (line, words) in [
            ("info none", "Instance not found"),
            ("exec none -- true", "Instance not found"),
            ("exec db -- true", "Instance is not running"),
            ("start web", "The instance is already running"),
            ("stop db", "The instance is already stopped"),
            ("restart db", "The instance is already stopped"),
            ("pause db", "The container isn't running"),
            ("delete web", "The instance is currently running, stop it first or pass --force"),
            ("config set db foo=bar", "Invalid config: Unknown configuration key: foo"),
            ("config set db limits.memory=abc", "Invalid value: abc"),
            ("config unset db user.none", "Can't unset key 'user.none', it's not currently set"),
            ("config unset foo", "unknown key"),
            ("config device add db d1 none-such", "Invalid devices: Device validation failed for \"d1\""),
            ("config device add db d1 disk path=/mnt", "missing the required \"source\" or \"path\" property"),
            ("config device add db e1 nic network=none", "Network not found"),
            ("config device add db e1 nic nictype=none", "Unsupported device type"),
            ("config device remove db none", "Device doesn't exist"),
            ("config device remove db root", "cannot be removed from individual instance"),
            ("launch none c9", "Image not found"),
            ("launch busybox c9 -p none", "Requested profile \"none\" doesn't exist"),
            ("launch busybox c9 -t none", "Provided instance type doesn't exist: none"),
            ("init busybox c9 --empty", "--empty cannot be combined with an image name"),
            ("profile show none", "Profile not found"),
            ("profile add db default", "Duplicate profile found in request"),
            ("profile unset default nokey", "nokey"),
            ("network show none", "Network not found"),
            ("storage show none", "Storage pool not found"),
            ("image info none", "not found"),
        ] {
            let finished = host.shell(&client, &format!("\"$CLIENT\" {line}"), false)?;
            let text = refused(finished)?;
            assert!(text.contains(words), "`{line}` by {client}: {text}");
        }
        // Nothing of what was refused is there.
        assert_eq!(host.with(&client, &["list", "-f", "csv", "-c", "n"], "")?.ok()?, "db\nweb\n");
    }
    host.assert_nothing_leaked()
}

#[test]
fn keys_are_set_shown_and_unset() -> Result<()> {
    let host = Host::ready()?;
    let _db = host.stopped("db")?;
    for client in host.clients()? {
        let does = |line: &str, input: &str| host.with(&client, &line.split(' ').collect::<Vec<_>>(), input)?.ok();
        does("config set db user.a=1 user.b=2", "")?;
        does("config set db user.c -", "from stdin")?;
        assert_eq!(does("config get db user.c", "")?, "from stdin\n");
        does("config unset db user.a", "")?;
        let shown = does("config show db", "")?;
        assert!(shown.contains("user.b: \"2\"") && !shown.contains("user.a"), "{shown}");
        assert!(does("config show db --expanded", "")?.contains("pool: default"));
        does("config set user.note=x", "")?;
        assert_eq!(does("config get user.note", "")?, "x\n");
        does("config unset user.note", "")?;
        assert_eq!(does("config get user.note", "")?, "\n");
        does("config unset db user.b", "")?;
        does("config unset db user.c", "")?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn files_are_pushed_pulled_and_deleted() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let here = host.folder().join("here");
    std::fs::create_dir_all(here.join("tree/sub"))?;
    std::fs::write(here.join("tree/sub/x"), "deep\n")?;
    for client in host.clients()? {
        let does = |line: &str, input: &str| {
            let line = line.replace("HERE", &here.display().to_string());
            host.with(&client, &line.split(' ').collect::<Vec<_>>(), input)?.ok()
        };
        does("file push - web/tmp/note --uid 1000 --gid 1000 --mode 0600", "hello")?;
        assert_eq!(web.exec(&["stat", "-c", "%u %g %a", "/tmp/note"])?.ok()?, "1000 1000 600\n");
        assert_eq!(does("file pull web/tmp/note -", "")?, "hello");
        does("file push -r HERE/tree web/tmp", "")?;
        assert_eq!(web.exec(&["cat", "/tmp/tree/sub/x"])?.ok()?, "deep\n");
        std::fs::create_dir(here.join("back"))?;
        does("file pull -r web/tmp/tree HERE/back", "")?;
        assert_eq!(std::fs::read_to_string(here.join("back/tree/sub/x"))?, "deep\n");
        std::fs::remove_dir_all(here.join("back"))?;
        std::os::unix::fs::symlink("tree/sub/x", here.join("link"))?;
        does("file push HERE/link web/tmp/copied", "")?;
        assert_eq!(web.exec(&["cat", "/tmp/copied"])?.ok()?, "deep\n");
        web.exec(&["/bin/busybox", "ln", "-sf", "../tmp/copied", "/tmp/linked"])?.ok()?;
        assert_eq!(does("file pull web/tmp/linked -", "")?, "deep\n");
        does("file pull web/tmp/linked HERE/linked", "")?;
        assert_eq!(std::fs::read_link(here.join("linked"))?, std::path::Path::new("../tmp/copied"));
        for name in ["link", "linked"] {
            std::fs::remove_file(here.join(name))?;
        }
        does("file delete web/tmp/note", "")?;
        assert_eq!(host.with(&client, &["file", "pull", "web/tmp/note", "-"], "")?.status, 1);
        web.exec(&["/bin/busybox", "rm", "-r", "/tmp/tree"])?.ok()?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn neither_input_nor_output_belongs_to_a_client_that_does_not_need_it() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    let status = host.folder().join("status");
    for client in host.clients()? {
        let made = "while read name; do \"$CLIENT\" profile create $name; done";
        let list = status.display();
        for line in
            [format!("printf 'one\\ntwo\\n' | {made}"), format!("printf 'one\\ntwo\\n' >'{list}'; {made} <'{list}'")]
        {
            host.shell(&client, &line, false)?.ok()?;
            for name in ["one", "two"] {
                host.with(&client, &["profile", "delete", name], "")?.ok()?;
            }
        }
        let cut = "(\"$CLIENT\" exec web -- sh -c 'while :; do echo y; done' 2>&1; echo $? >STATUS) | head -1";
        let cut = cut.replace("STATUS", &status.display().to_string());
        assert_eq!(host.shell(&client, &cut, false)?.ok()?, "y\n", "by {client}");
        assert_eq!(std::fs::read_to_string(&status)?, "141\n", "by {client}");
        host.with(&client, &["init", "busybox", "versioned"], "config:\n  user.version: 1.10\n")?.ok()?;
        assert_eq!(host.with(&client, &["config", "get", "versioned", "user.version"], "")?.ok()?, "1.10\n");
        host.with(&client, &["delete", "versioned"], "")?.ok()?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn what_the_machine_has_is_told_alike() -> Result<()> {
    let host = Host::empty()?;
    let mut pages = Vec::new();
    for client in host.clients()? {
        let page = host.with(&client, &["info", "--resources"], "")?.ok()?;
        // What changes between two questions.
        let steady = page.lines().filter(|line| !line.contains("Free: ") && !line.contains("Used: "));
        pages.push(steady.map(|line| format!("{line}\n")).collect::<String>());
    }
    assert!(pages[0].contains("\nMemory:\n  Total: ") && pages[0].contains("- Core 0\n"), "{}", pages[0]);
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    host.assert_nothing_leaked()
}

/// As newer lxc does; 5.0.2 leaves the file unread.
#[test]
fn what_is_created_can_be_described_by_a_file() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let client = host.clients()?.pop().context("our own client")?;
    let create = |name: &str, file: &std::path::Path| {
        host.shell(&client, &format!("\"$CLIENT\" profile create {name} <'{}'", file.display()), false)
    };
    let file = host.folder().join("profile.yaml");
    std::fs::write(&file, "description: of a file\nconfig:\n  user.version: 1.10\n  user.none:\ndevices: {}\n")?;
    create("described", &file)?.ok()?;
    let made = host.rest.get("/1.0/profiles/described")?.metadata()?;
    assert_eq!((&made["description"], &made["config"]["user.version"]), (&json!("of a file"), &json!("1.10")));
    host.hull(&["profile", "delete", "described"])?.ok()?;

    let here = "\"$CLIENT\" profile create here <<END\ndescription: of a here-document\nEND\n";
    host.shell(&client, here, false)?.ok()?;
    assert_eq!(host.rest.get("/1.0/profiles/here")?.metadata()?["description"], "of a here-document");
    host.hull(&["profile", "delete", "here"])?.ok()?;

    std::fs::write(&file, "description: [of, no, profile]\n")?;
    let refused = create("p", &file)?;
    assert!(refused.status == 1 && refused.stderr.contains("cannot read the YAML on stdin"), "{refused:?}");
    assert_eq!(host.rest.get("/1.0/profiles/p")?.status, 404);
    host.assert_nothing_leaked()
}

#[test]
fn an_image_of_two_files_comes_out_as_it_went_in_and_names_move() -> Result<()> {
    let host = Host::ready()?;
    let here = host.folder().join("here");
    std::fs::create_dir_all(here.join("root/etc"))?;
    std::fs::write(here.join("metadata.yaml"), "architecture: x86_64\ncreation_date: 1\n")?;
    let mut exported = Vec::new();
    for (number, client) in host.clients()?.into_iter().enumerate() {
        let does = |line: &str| {
            let line = format!("cd '{}' && {}", here.display(), line.replace("NUMBER", &number.to_string()));
            host.shell(&client, &line, false)?.ok()
        };
        does("echo NUMBER >root/etc/number && tar -cf meta.tar metadata.yaml && tar -cf root.tar -C root .")?;
        does("\"$CLIENT\" image import meta.tar root.tar --alias moved")?;
        let export = "\"$CLIENT\" image export moved";
        does(&format!("mkdir -p outNUMBER/folder && cd outNUMBER && {export} folder && {export} named"))?;
        exported.push(does("cmp meta.tar outNUMBER/named && cmp root.tar outNUMBER/named.root && cd outNUMBER && ls folder | sed 's/[0-9a-f]\\{64\\}/ID/'")?);
    }
    assert!(exported.windows(2).all(|pair| pair[0] == pair[1]), "{exported:?}");
    host.assert_nothing_leaked()
}

#[test]
fn an_instance_is_paused_resumed_restarted_and_stopped() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    for client in host.clients()? {
        let does = |arguments: &[&str]| host.with(&client, arguments, "")?.ok();
        does(&["pause", "web"])?;
        assert_eq!(web.status()?, "Frozen");
        assert!(refused(host.with(&client, &["exec", "web", "--", "true"], "")?)?.contains("Instance is frozen"));
        does(&["start", "web"])?;
        assert_eq!(web.status()?, "Running");
        let before = web.pid()?;
        does(&["restart", "web", "--force"])?;
        assert_ne!(web.pid()?, before);
        does(&["stop", "web", "--force"])?;
        assert_eq!(web.status()?, "Stopped");
        web.start()?;
        does(&["stop", "web", "--timeout", "30"])?;
        assert_eq!(web.status()?, "Stopped");
        web.start()?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_terminal_has_the_size_of_the_clients_and_follows_it() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let resized = "stty rows 33 cols 77; \
        (for i in $(seq 200); do \"$CLIENT\" exec -T web -- ls /tmp/first </dev/null >/dev/null 2>&1 && break; done; stty rows 40 cols 123 </dev/tty) & \
        exec \"$CLIENT\" exec web -- sh -c 'stty size; touch /tmp/first; \
        while test \"$(stty size)\" = \"33 77\"; do sleep 0.1; done; stty size; exit 9'";
    for client in host.clients()? {
        let finished = host.shell(&client, resized, true)?;
        assert_eq!(finished.status, 9, "{client}: {finished:?}");
        let sizes: Vec<&str> = finished.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // `script` types the end of its input, which the terminal echoes.
        assert!(sizes.len() == 2 && sizes[0].ends_with("33 77") && sizes[1].ends_with("40 123"), "{client}: {sizes:?}");
        web.exec(&["/bin/busybox", "rm", "/tmp/first"])?.ok()?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_console_has_the_size_of_the_clients_terminal_and_follows_it() -> Result<()> {
    let host = Host::ready()?;
    host.running("web")?;
    let resized = "stty rows 33 cols 77; \
        (size() { \"$CLIENT\" exec -T web -- sh -c 'stty size </dev/console' </dev/null 2>/dev/null; }; \
        for i in $(seq 200); do test \"$(size)\" = '33 77' && break; done; stty rows 40 cols 123 </dev/tty; \
        for i in $(seq 200); do test \"$(size)\" = '40 123' && echo resized && break; done; kill $$) & \
        exec \"$CLIENT\" console web";
    for client in host.clients()? {
        let finished = host.shell(&client, resized, true)?;
        assert!(finished.stdout.contains("resized"), "{client}: {finished:?}");
    }
    host.assert_nothing_leaked()
}

/// Also after an operation, for whose wait the client listens to the signal itself.
#[test]
fn ctrl_c_ends_a_question() -> Result<()> {
    use std::io::{Read, Write};
    use std::process::Stdio;
    let host = Host::ready()?;
    let (_first, second) = (host.stopped("first")?, host.stopped("second")?);
    let hull = Host::programs()?.join("hull");
    let mut command = host.command(&hull.display().to_string());
    command.args(["delete", "-i", "first", "second"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = command.spawn()?;
    client.stdin.as_mut().expect("a pipe").write_all(b"yes\n")?;
    let (stdout, mut shown) = (client.stdout.as_mut().expect("a pipe"), Vec::new());
    while !String::from_utf8_lossy(&shown).contains("Remove second (yes/no): ") {
        let mut byte = [0];
        stdout.read_exact(&mut byte)?;
        shown.extend(byte);
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(client.id())?);
    // Again, as a user would: the question is shown a moment before it is listened.
    let ended = hull_integration::until("it ends", std::time::Duration::from_secs(20), || {
        nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).ok()?;
        client.try_wait().ok()?
    });
    if ended.is_err() {
        client.kill()?;
    }
    assert_eq!(ended?.code(), Some(130));
    assert_eq!(second.status()?, "Stopped");
    host.assert_nothing_leaked()
}

#[test]
fn signals_of_the_client_reach_the_command() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let ended = "\"$CLIENT\" exec web -- sh -c 'trap \"echo got; exit 4\" TERM; touch /tmp/up; \
        for i in $(seq 300); do sleep 0.1; done' & \
        for i in $(seq 200); do \"$CLIENT\" exec -T web -- ls /tmp/up </dev/null >/dev/null 2>&1 && break; done; kill -TERM $!; wait $!";
    for client in host.clients()? {
        let finished = host.shell(&client, ended, false)?;
        assert_eq!((finished.status, finished.stdout.as_str()), (4, "got\n"), "{client}: {finished:?}");
        web.exec(&["/bin/busybox", "rm", "/tmp/up"])?.ok()?;
    }
    host.assert_nothing_leaked()
}
