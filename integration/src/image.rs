//! A small image: busybox, an init that obeys at once, and a network that asks for an address.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::command::run;

const INITTAB: &str = "\
::sysinit:/etc/rcS
::respawn:/bin/busybox sleep 100000
::ctrlaltdel:/bin/busybox reboot
";

const RC: &str = "\
#!/bin/sh
/bin/busybox ip link set lo up
[ -e /sys/class/net/eth0 ] && /bin/busybox ip link set eth0 up && /bin/busybox udhcpc -i eth0 -s /etc/udhcpc -b -t 20 -T 1 -A 1 >/dev/null 2>&1 &
echo booted > /run/booted
";

const UDHCPC: &str = "\
#!/bin/sh
[ \"$1\" = bound ] || [ \"$1\" = renew ] || exit 0
/bin/busybox ip addr flush dev $interface
/bin/busybox ip addr add $ip/$mask dev $interface
[ -n \"$router\" ] && /bin/busybox ip route replace default via $router dev $interface
echo nameserver $dns > /etc/resolv.conf
";

const METADATA: &str = "\
architecture: x86_64
creation_date: 1700000000
properties:
  os: busybox
  description: busybox for tests
";

/// Builds a unified tarball in `folder`.
pub(crate) fn busybox(folder: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let root = folder.join("image/rootfs");
    for name in ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "usr/bin", "var", "mnt"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    for tool in [
        "sh", "cat", "echo", "ls", "sleep", "true", "false", "hostname", "id", "env", "pwd", "touch", "stat", "nc",
        "ip", "wc", "head", "seq", "dd", "kill", "ps", "mount", "tty", "stty", "mkdir", "md5sum",
    ] {
        symlink("busybox", root.join("bin").join(tool))?;
    }
    symlink("../bin/busybox", root.join("sbin/init"))?;
    let files = [
        ("rootfs/etc/inittab", INITTAB, 0o644),
        ("rootfs/etc/rcS", RC, 0o755),
        ("rootfs/etc/udhcpc", UDHCPC, 0o755),
        ("rootfs/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", 0o644),
        ("rootfs/etc/group", "root:x:0:\nuser:x:1000:\n", 0o644),
        ("metadata.yaml", METADATA, 0o644),
    ];
    for (name, content, mode) in files {
        let path = folder.join("image").join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    let tarball = folder.join("busybox.tar.gz");
    run(
        Command::new("tar")
            .arg("-C")
            .arg(folder.join("image"))
            .arg("-czf")
            .arg(&tarball)
            .args(["metadata.yaml", "rootfs"]),
        "",
    )?
    .ok()?;
    std::fs::remove_dir_all(folder.join("image"))?;
    Ok(tarball)
}

/// A whole image of a few hundred bytes: to be imported, not to be run.
pub(crate) fn small_image(folder: &Path, name: &str) -> Result<PathBuf> {
    let tarball = folder.join(format!("{name}.tar.gz"));
    if tarball.exists() { Ok(tarball) } else { holding(folder, name, name.as_bytes()) }
}

/// The same with one file of this content.
pub(crate) fn holding(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let (place, tarball) = (folder.join(name), folder.join(format!("{name}.tar.gz")));
    std::fs::create_dir_all(place.join("rootfs/etc"))?;
    std::fs::write(place.join("rootfs/etc/hostname"), content)?;
    std::fs::write(place.join("metadata.yaml"), METADATA.replace("busybox", name))?;
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&place).arg("-czf").arg(&tarball).args(["metadata.yaml", "rootfs"]);
    run(&mut tar, "")?.ok()?;
    std::fs::remove_dir_all(place)?;
    Ok(tarball)
}

/// Of an image in one file.
#[must_use]
pub fn fingerprint(image: &[u8]) -> String {
    Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect()
}
