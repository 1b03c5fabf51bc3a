#!/bin/sh
# Run by mmdebstrap when all packages are installed: $1 is the new root, this file's directory has what is copied into it.
set -eu
root=$1
here=${0%/*}

# The options of this build (proxy, left out documentation) are not the machine's.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/apt/sources.list"
install -m 0644 "$here/debian.sources" "$root/etc/apt/sources.list.d/debian.sources"
if [ -d "$here/keyrings" ]; then
    install -d "$root/etc/apt/keyrings"
    install -m 0644 "$here/keyrings"/* "$root/etc/apt/keyrings/"
fi

# An address by DHCP on the first NIC; the same machine id is never in two instances, so leases go by MAC.
cat > "$root/etc/systemd/network/eth0.network" <<'END'
[Match]
Name=eth0

[Network]
DHCP=true

[DHCPv4]
UseDomains=true
ClientIdentifier=mac

[DHCPv6]
UseDomains=true
END
cat > "$root/etc/hosts" <<'END'
127.0.0.1	localhost
::1		localhost ip6-localhost ip6-loopback
ff02::1		ip6-allnodes
ff02::2		ip6-allrouters
END
chroot "$root" systemctl --quiet enable systemd-networkd.service
chroot "$root" systemctl --quiet enable console-getty.service
chroot "$root" passwd --quiet --lock root
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# Made anew in every instance. Empty, not absent: systemd then fills it without asking about a first boot.
: > "$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/etc/.resolv.conf.systemd-resolved.bak" "$root/var/lib/dbus/machine-id"
ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
