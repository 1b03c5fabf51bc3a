//! What a container's root can reach from inside (families T13 to T16, T22, T27).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, until};
use serde_json::json;

use crate::support::{Canary, SECRET, fetched, image, import, launch, only_hull, shell, status_field};

fn sh(instance: &Instance, script: &str) -> Result<String> {
    let finished = instance.exec(&["sh", "-c", script])?;
    Ok(format!("{}{}", finished.stdout, finished.stderr))
}

/// CVE-2016-8649, CVE-2016-9962: init and commands have their standard streams and nothing else.
#[test]
fn sec_cve_2016_8649_no_descriptor_is_left_to_anybody() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    // `ls` has the directory that it lists.
    let listed = web.exec(&["ls", "-l", "/proc/self/fd/"])?.ok()?;
    let numbers: Vec<&str> =
        listed.lines().filter_map(|line| line.split(" -> ").next()?.split_whitespace().last()).collect();
    assert!(numbers.iter().all(|number| ["0", "1", "2", "3"].contains(number)), "{listed}");
    for link in listed.lines().filter(|line| line.contains(" -> ")) {
        let target = link.split(" -> ").nth(1).unwrap_or("");
        let plain = ["pipe:", "/dev/null", "/dev/pts/", "/proc/"].iter().any(|start| target.starts_with(start));
        assert!(plain || !only_hull(&host), "{link}");
    }
    if only_hull(&host) {
        let pid = web.pid()?;
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let target = fs::read_link(entry?.path())?;
            let own = target.starts_with("/dev/") || target.starts_with("/run/");
            assert!(own, "init has {}", target.display());
        }
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd"))?, fs::read_link(format!("/proc/{pid}/root"))?.join(""));
    }
    host.assert_nothing_leaked()
}

/// CVE-2024-21626: a descriptor of the runtime as a command's folder.
#[test]
fn sec_cve_2024_21626_a_leaked_descriptor_as_folder() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let web = host.running("web")?;
    for number in (0..40).chain([100, 255, 1000]) {
        let body = json!({
            "command": ["sh", "-c", format!("cat ../../../../../../../..{} > /tmp/out; /bin/busybox pwd >> /tmp/out", canary.file().display())],
            "cwd": format!("/proc/self/fd/{number}"), "wait-for-websocket": false, "interactive": false,
        });
        let _any_status = host.rest.wait(&host.rest.post("/1.0/instances/web/exec", &body)?);
        let out = sh(&web, "cat /tmp/out")?;
        assert!(!out.contains(SECRET), "descriptor {number}: {out}");
    }
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2019-5736: a program of the host's that runs inside for a moment cannot be written through `/proc/PID/exe`.
#[test]
fn sec_cve_2019_5736_the_helper_cannot_be_overwritten() -> Result<()> {
    let host = Host::ready()?;
    if !only_hull(&host) {
        return host.assert_nothing_leaked();
    }
    let tarball = image(&host, "self", |tree| {
        fs::write(tree.join("rootfs/bin/self"), "#!/proc/self/exe\n")?;
        shell(&format!("chmod 755 '{}'", tree.join("rootfs/bin/self").display())).map(drop)
    })?;
    import(&host, &tarball, "self")?.ok()?;
    launch(&host, "web", "self")?;
    let web = Instance { host: &host, name: "web".into() };
    let helper = *host.processes_named("hull-init").first().context("a helper")?;
    let before = fs::read(format!("/proc/{helper}/exe"))?;
    let writer = "exec >/dev/null 2>&1 </dev/null; (i=0; while [ $i -lt 3000 ]; do i=$((i+1)); for p in /proc/[0-9]*; do echo overwritten > $p/exe; done; done) &";
    web.exec(&["sh", "-c", writer])?.ok()?;
    for _ in 0..40 {
        let _fails = web.exec(&["self"])?;
        let _works = web.exec(&["true"])?;
    }
    assert!(fs::read(format!("/proc/{helper}/exe"))? == before, "hull-init was overwritten");
    assert_eq!(web.exec(&["echo", "well"])?.ok()?, "well\n");
    host.assert_nothing_leaked()
}

/// CVE-2022-0492: neither what is mounted nor what can be mounted has a `release_agent` that could be written.
#[test]
fn sec_cve_2022_0492_release_agent() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let attempts = "\
        for f in $(/bin/busybox find /sys/fs/cgroup -name release_agent 2>/dev/null); do echo /evil > $f && echo WRITTEN $f; done; \
        mkdir /tmp/cg; for c in memory rdma pids cpu devices freezer; do \
          mount -t cgroup -o $c cgroup /tmp/cg 2>/dev/null || continue; \
          echo /evil > /tmp/cg/release_agent && echo WRITTEN $c; /bin/busybox umount /tmp/cg; done; \
        /bin/busybox unshare -Urm sh -c 'mount -t cgroup -o memory c /tmp/cg && echo /evil > /tmp/cg/release_agent && echo WRITTEN nested' 2>&1; true";
    let said = sh(&web, attempts)?;
    assert!(!said.contains("WRITTEN"), "{said}");
    host.assert_nothing_leaked()
}

/// CVE-2023-25809: the files of its groups that bound a container are not the container's, however it comes by them.
#[test]
fn sec_cve_2023_25809_limits_cannot_be_raised_from_inside() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    host.client(&["config", "set", "web", "limits.memory=64MiB", "limits.processes=40"])?.ok()?;
    web.start()?;
    let attempts = "\
        raise() { for n in memory.max memory.high memory.limit_in_bytes pids.max cpu.max cpu.cfs_quota_us devices.allow; do \
          for f in $(/bin/busybox find $1 -name $n 2>/dev/null); do for v in max -1 'a *:* rwm'; do \
            (echo $v > $f) 2>/dev/null && echo WRITTEN $f; done; done; done; }; \
        raise /sys/fs/cgroup; mkdir /tmp/cg; \
        for c in memory pids cpu devices; do \
          mount -t cgroup -o $c cgroup /tmp/cg 2>/dev/null && { raise /tmp/cg; /bin/busybox umount /tmp/cg; }; done; \
        mount -t cgroup2 cgroup2 /tmp/cg 2>/dev/null && { raise /tmp/cg; /bin/busybox umount /tmp/cg; }; true";
    let said = sh(&web, attempts)?;
    assert!(!said.contains("WRITTEN"), "{said}");
    let hog = web.exec(&["dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M", "count=300"])?;
    assert_ne!(hog.status, 0, "{hog:?}");
    host.assert_nothing_leaked()
}

/// CVE-2019-14271: whoever goes inside for a file or a command loads nothing there. What it could load would hold it up: a
/// pipe that nobody writes to.
#[test]
fn sec_cve_2019_14271_nothing_is_loaded_from_inside() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let traps = "\
        PATH=/bin; for d in /lib /lib64 /usr/lib /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib/aarch64-linux-gnu; do \
          busybox mkdir -p $d; for n in libc.so.6 libgcc_s.so.1 libm.so.6 libnss_files.so.2 libnss_compat.so.2 libnss_dns.so.2; do \
            [ -e $d/$n ] || busybox mkfifo $d/$n; done; done; \
        for f in /etc/nsswitch.conf /etc/ld.so.cache /etc/ld.so.preload /etc/ld.so.conf /etc/resolv.conf /etc/locale.alias; do \
          busybox rm -f $f; busybox mkfifo $f; done";
    web.exec(&["sh", "-c", traps])?.ok()?;
    let url = "/1.0/instances/web/files?path=/tmp/note";
    host.rest.request("POST", url, &[("X-LXD-type", "file"), ("X-LXD-uid", "1000")], b"note")?.metadata()?;
    assert_eq!(fetched(&host, "web", "/tmp/note")?, "note");
    assert!(fetched(&host, "web", "/tmp")?.contains("note"));
    host.rest.delete(url)?.metadata()?;
    assert_eq!(web.exec(&["echo", "well"])?.ok()?, "well\n");
    host.assert_nothing_leaked()
}

/// CVE-2022-29162: no capability is inheritable, and root inside has none of those that reach past namespaces.
#[test]
fn sec_cve_2022_29162_inheritable_capabilities() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    for status in [sh(&web, "cat /proc/self/status")?, sh(&web, "cat /proc/1/status")?] {
        for set in ["CapInh", "CapAmb"] {
            let line = status.lines().find(|line| line.starts_with(set)).context("the set")?;
            assert_eq!(line.split_whitespace().nth(1), Some("0000000000000000"), "{line}");
        }
    }
    if only_hull(&host) {
        let bounding = u64::from_str_radix(&status_field(web.pid()?, "CapBnd")?, 16)?;
        let never: u64 = [16, 17, 25, 32, 33].iter().map(|bit| 1_u64 << bit).sum();
        assert_eq!(bounding & never, 0, "{bounding:x}");
    }
    host.assert_nothing_leaked()
}

/// CVE-2015-1334 and the controls of the host's kernel: masked, read-only, or not there.
#[test]
fn sec_cve_2015_1334_kernel_controls_are_masked() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let written = sh(
        &web,
        "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /proc/sys/vm/panic_on_oom \
         /sys/kernel/uevent_helper /sys/power/state /sys/module/*/parameters/*; do \
         (echo 0 > $f) 2>/dev/null && echo WRITTEN $f; done; true",
    )?;
    assert!(!written.contains("WRITTEN"), "{written}");
    for file in ["/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/sched_debug"] {
        let read = web.exec(&["head", "-c", "64", file])?;
        assert_eq!(read.stdout, "", "{file}");
    }
    let mounted = sh(
        &web,
        "mkdir /tmp/p; mount -t proc proc /tmp/p && (echo x > /tmp/p/sysrq-trigger) 2>/dev/null && echo WRITTEN; true",
    )?;
    assert!(!mounted.contains("WRITTEN"), "{mounted}");
    host.assert_nothing_leaked()
}

/// CVE-2016-10124: a command's terminal is one of the container's.
#[test]
fn sec_cve_2016_10124_the_terminal_is_the_containers_own() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    for client in host.clients()? {
        let line = "\"$CLIENT\" exec web -- sh -c 'tty; ls -l /proc/self/fd/0; stat -c %t:%T /dev/console'";
        let seen = host.shell(&client, line, true)?.ok()?;
        assert!(seen.contains("/dev/pts/"), "{client}: {seen}");
        if only_hull(&host) {
            // Number 0 is the console's; the host's terminal, whose number may be any, is not in sight.
            let listed = sh(&web, "ls /dev/pts")?;
            assert!(
                listed.split_whitespace().all(|name| name == "ptmx" || name.parse::<u32>().is_ok_and(|n| n < 8)),
                "{listed}"
            );
        }
    }
    host.assert_nothing_leaked()
}

/// Types into every terminal that it can open, and leaves a child that goes on when the command has ended. No modules: there
/// are none in the image.
const TYPIST: &str = "\
    $SIG{HUP} = \"IGNORE\"; my $rounds = fork ? 5 : 20; \
    sub in_folder { opendir(my $folder, $_[0]) or return (); map { \"$_[0]/$_\" } grep { /^[0-9]/ } readdir($folder) } \
    for (1 .. $rounds) { \
      my @opened = map { my $process = $_; map { \"$process/fd/$_\" } 0 .. 2 } in_folder(\"/proc\"); \
      for my $name (\"/dev/tty\", \"/dev/console\", in_folder(\"/dev/pts\"), @opened) { \
        open(my $terminal, \"+<\", $name) or next; \
        -t $terminal or next; \
        for (split(//, \"typed\\n\")) { my $letter = $_; ioctl($terminal, 0x5412, $letter); } } \
      select(undef, undef, undef, 0.1); }";

/// CVE-2016-10124, with TIOCSTI: what a command types into its terminal is no input of the terminal that its client sits at.
#[test]
fn sec_t16_what_is_typed_inside_is_no_input_outside() -> Result<()> {
    let host = Host::ready()?;
    let tarball = image(&host, "perl", |tree| {
        let copy = "for f in /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do \
            mkdir -p rootfs$(dirname $f); cp -L $f rootfs$f; done";
        shell(&format!("cd '{}'; {copy}", tree.display())).map(drop)
    })?;
    import(&host, &tarball, "perl")?.ok()?;
    launch(&host, "web", "perl")?;
    let typist = host.folder().join("typist");
    fs::write(&typist, TYPIST)?;
    // Whatever waits as input of the terminal, without a line's end and without waiting for more.
    let read = "stty -icanon -echo min 0 time 10; got=$(head -c 64); \
        case \"$got\" in *typed*) echo HAS-BEEN-READ;; *) echo NOTHING-THERE;; esac";
    let on_terminal = |client: &str, line: &str| host.shell(client, &format!("{line}; {read}"), true)?.ok();
    let typed_here = "perl -e 'for (split(//, \"typed\\n\")) { my $letter = $_; ioctl(STDIN, 0x5412, $letter); }'";
    for client in host.clients()? {
        // So that the silence means something: typed on the same terminal, it is read.
        let own = on_terminal(&client, typed_here)?;
        assert!(own.contains("HAS-BEEN-READ"), "{own}");
        let typed_inside = format!("\"$CLIENT\" exec web -- perl -e \"$(cat '{}')\"", typist.display());
        let seen = on_terminal(&client, &typed_inside)?;
        assert!(seen.contains("NOTHING-THERE") && !seen.contains("HAS-BEEN-READ"), "{client}: {seen}");
    }
    host.assert_nothing_leaked()
}

/// USN-4728-1: the devices of a container stay what they are, whatever is restarted.
#[test]
fn sec_cve_2020_27352_devices_stay_denied_over_restarts() -> Result<()> {
    let mut host = Host::ready()?;
    host.running("web")?;
    let disks = "for n in 254:0 8:0 7:0 259:0 1:1 1:2 1:4 1:11 10:232; do \
        for k in b c; do /bin/busybox mknod /tmp/n $k ${n%:*} ${n#*:} 2>/dev/null; \
        head -c 1 /tmp/n >/dev/null 2>&1 && echo READ $k $n; /bin/busybox rm -f /tmp/n; done; done; true";
    for round in ["at first", "after a restart of the daemon", "after a kill of the driver"] {
        let web = Instance { host: &host, name: "web".into() };
        let said = sh(&web, disks)?;
        assert!(!said.contains("READ"), "{round}: {said}");
        match round {
            "at first" => host.restart_daemon()?,
            _ => {
                for pid in host.processes_named("instance-container") {
                    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
                }
            }
        }
    }
    host.assert_nothing_leaked()
}

/// CVE-2026-41685, T22: memory and processes of a container end at its limits, and the daemon goes on.
#[test]
fn sec_t22_a_container_that_takes_all_it_can() -> Result<()> {
    let host = Host::ready()?;
    let supervisor = host.supervisor();
    let web = host.stopped("web")?;
    host.client(&["config", "set", "web", "limits.memory=64MiB", "limits.processes=40"])?.ok()?;
    web.start()?;
    let bomb = sh(&web, "i=0; while [ $i -lt 200 ]; do i=$((i+1)); sleep 5 & done 2>&1; true")?;
    assert!(bomb.contains("fork") || bomb.contains("Resource"), "{bomb}");
    until("processes end", Duration::from_secs(30), || web.exec(&["true"]).ok().filter(|ended| ended.status == 0))?;
    let hog = web.exec(&["dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M", "count=300"])?;
    assert_ne!(hog.status, 0, "{hog:?}");
    assert_eq!(host.rest.get("/1.0/instances/web")?.status, 200);
    if only_hull(&host) {
        crate::support::assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}

/// CVE-2016-3697: a user is a number, and the number that means "leave it as it is" is none.
#[test]
fn sec_cve_2016_3697_users_that_are_no_numbers() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    for user in [
        json!("root"),
        json!("1000"),
        json!(-1),
        json!(4_294_967_295_u64),
        json!(4_294_967_296_u64),
        json!(1.5),
        json!([0]),
    ] {
        let body = json!({"command": ["sh", "-c", "/bin/busybox id -u > /tmp/who"], "user": user, "wait-for-websocket": false, "interactive": false});
        web.exec(&["sh", "-c", "/bin/busybox rm -f /tmp/who"])?.ok()?;
        let begun = host.rest.post("/1.0/instances/web/exec", &body)?;
        let refused = begun.status >= 400 || host.rest.wait(&begun).is_err();
        let who = sh(&web, "cat /tmp/who 2>/dev/null; true")?;
        assert!(refused || who.trim() != "0", "user {user} became {who}");
    }
    host.assert_nothing_leaked()
}
