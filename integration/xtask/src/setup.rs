//! `cargo xtask setup`: installs what building, running and testing Hull needs, if it is not there.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, say, succeed, tools};

/// Install the packages and tools that are missing (Debian 12 or newer, or Ubuntu; as root)
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Setup {
    /// Also what only checks need: cargo-deny
    #[arg(long)]
    pub(crate) ci: bool,
    /// Also the LXD that benches and `test --against lxd` compare with
    #[arg(long)]
    pub(crate) lxd: bool,
}

/// Building: crates that compile C, and the library they link.
const BUILD: [&str; 4] = ["gcc", "libc6-dev", "libseccomp-dev", "pkg-config"];
/// Running: what plugins start, and where container ids come from.
const RUN: [&str; 10] = [
    "ca-certificates",
    "debian-archive-keyring",
    "dnsmasq-base",
    "iproute2",
    "lxcfs",
    "mmdebstrap",
    "nftables",
    "squashfs-tools",
    "uidmap",
    "zstd",
];
/// Testing: small images and things to look at them with.
const TEST: [&str; 3] = ["acl", "attr", "busybox-static"];
/// The client that drives Hull in the stories, unless there is an `lxc` of another origin, as on Ubuntu.
const CLIENT: &str = "lxd-client";
const LXD: &str = "lxd";

/// Cargo's commands that tests and checks use: the command, and its version.
const NEXTEST: (&str, &str) = ("cargo-nextest", "^0.9");
const DENY: (&str, &str) = ("cargo-deny", "^0.20");

pub(crate) fn run(setup: &Setup) -> Result<()> {
    let mut packages: Vec<&str> = [&BUILD[..], &RUN, &TEST].concat();
    if !in_path("lxc") {
        packages.push(CLIENT);
    }
    if setup.lxd {
        packages.push(LXD);
    }
    install_packages(&packages)?;
    install_tool(NEXTEST)?;
    if setup.ci {
        install_tool(DENY)?;
    }
    Ok(())
}

/// What building and running needs, without what only tests do.
pub(crate) fn for_running() -> Result<()> {
    install_packages(&[&BUILD[..], &RUN].concat())
}

/// What building and fuzzing needs: libFuzzer is C++.
pub(crate) fn for_fuzzing() -> Result<()> {
    install_packages(&[&BUILD[..], &["g++"]].concat())
}

fn install_packages(wanted: &[&str]) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        let list = wanted.join(" ");
        bail!("this machine has no apt-get: install what these Debian packages hold by hand, then go on: {list}");
    }
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !nix::unistd::geteuid().is_root() {
        bail!("these packages are missing, and installing them takes root: {list}\n  sudo apt-get install {list}");
    }
    say(&format!("installing packages: {list}"));
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        succeed(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // The lists may be there already; if they are not, or are old, they are fetched.
    if install().is_err() {
        succeed(Command::new("apt-get").arg("update"))?;
        install()?;
    }
    Ok(())
}

fn in_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn is_installed(package: &str) -> bool {
    let asked = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    asked.is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

fn install_tool((tool, version): (&str, &str)) -> Result<()> {
    let command = tool.strip_prefix("cargo-").context("tools are cargo's commands")?;
    let mut probe = cargo(&[command, "--version"])?;
    if probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    say(&format!("installing {tool} (once; kept in `{}`)", tools()?.display()));
    let folder = tools()?;
    let mut install = cargo(&["install", "--locked", "--version", version, tool, "--root"])?;
    succeed(install.arg(folder))
}
