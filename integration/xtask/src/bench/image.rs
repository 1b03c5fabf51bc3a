//! The image both sides run: a static busybox and an init that ends at once when asked to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::succeed;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 13] =
    ["sh", "true", "grep", "sleep", "dd", "cat", "ls", "ip", "hostname", "mount", "poweroff", "halt", "reboot"];
/// PID 1 ends on the halt signals of LXD (SIGPWR), of systemd (SIGRTMIN+3) and on SIGTERM; busybox's own init sleeps 2 s.
const INIT: &str = "#!/bin/sh\ntrap 'exit 0' PWR TERM 37\nwhile :; do sleep 86400 & wait $!; done\n";
const METADATA: &str = "architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  architecture: amd64\n  \
    description: busybox\n  os: busybox\n  release: bench\n";

/// Builds the image as a unified tarball in `folder`; its content.
pub(crate) fn build(folder: &Path) -> Result<Vec<u8>> {
    let tree = folder.join("image");
    let lay_out = || {
        for name in ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "root", "var"] {
            fs::create_dir_all(tree.join("rootfs").join(name))?;
        }
        fs::copy(BUSYBOX, tree.join("rootfs/bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", tree.join("rootfs/bin").join(applet))?;
        }
        fs::write(tree.join("rootfs/sbin/init"), INIT)?;
        fs::set_permissions(tree.join("rootfs/sbin/init"), fs::Permissions::from_mode(0o755))?;
        fs::write(tree.join("rootfs/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        fs::write(tree.join("rootfs/etc/group"), "root:x:0:\n")?;
        fs::write(tree.join("metadata.yaml"), METADATA)
    };
    lay_out()
        .with_context(|| format!("cannot build the image in `{}` (is busybox-static installed?)", tree.display()))?;
    let file = folder.join("busybox.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--numeric-owner", "--owner=0", "--group=0"]).arg("--file").arg(&file);
    succeed(tar.arg("--directory").arg(&tree).args(["metadata.yaml", "rootfs"]))?;
    let content = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove `{}`", tree.display()))?;
    Ok(content)
}
