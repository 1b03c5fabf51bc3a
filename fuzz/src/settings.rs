//! Configuration values, and the files that are written of them.

use hull_plugin::network::NicSpec;
use hull_plugin::{ConfigMap, DeviceName, InstanceId};
use network_bridge::fuzzing::{Written, network, nic};

/// Lines `KEY=VALUE`, in which `\n` stands for a line break; the first is the name of the network.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n').map(|line| line.replace("\\n", "\n"));
    let name = lines.next().unwrap_or_default();
    let pairs = lines.filter_map(|line| line.split_once('=').map(|(key, value)| (key.into(), value.into())));
    let config: ConfigMap = pairs.collect();
    hulld::fuzzing::check_settings(&config);
    network(&name, &config).into_iter().for_each(|written| check(&written));
    nic_spec(name, config).as_ref().and_then(nic).into_iter().for_each(|written| check(&written));
}

/// The keys that are fields of a NIC's specification are taken out of the rest.
fn nic_spec(host_name: String, mut config: ConfigMap) -> Option<NicSpec> {
    Some(NicSpec {
        instance: InstanceId::new(config.remove("instance")?).ok()?,
        host_name,
        device: DeviceName::new("eth0").ok()?,
        network: None,
        name: config.remove("name")?,
        hwaddr: config.remove("hwaddr")?,
        mtu: config.remove("mtu").and_then(|text| text.parse().ok()),
        config,
    })
}

/// No value has become a line, a rule or an option of its own.
fn check(written: &Written) {
    const OPTIONS: [&str; 31] = [
        "interface",
        "bind-interfaces",
        "strict-order",
        "no-hosts",
        "no-ping",
        "dhcp-authoritative",
        "dhcp-no-override",
        "dhcp-rapid-commit",
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
        "except-interface",
        "user",
        "group",
        "dhcp-leasefile",
        "dhcp-hostsdir",
        "dhcp-ignore-names",
        "domain",
        "local",
        "interface-name",
        "dhcp-option-force",
        "dhcp-option",
        "dhcp-range",
        "enable-ra",
        "ra-param",
        "conf-file",
        "listen-address",
        "server",
        "expand-hosts",
        "dhcp-host",
        "dhcp-lease-max",
    ];
    for line in written.settings.iter().flat_map(|text| text.lines()) {
        let (option, value) = line.split_once('=').unwrap_or((line, ""));
        assert!(OPTIONS.contains(&option), "{line:?} is an option that nobody writes");
        assert!(value.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '\\')), "{line:?}");
        let own = option != "conf-file" || value == "/state/networks/x/raw.conf";
        assert!(own, "{line:?} reads a foreign file");
    }
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    assert!(written.host.as_deref().is_none_or(plain), "{:?}", written.host);
    for script in &written.scripts {
        let count = |wanted: char| script.chars().filter(|c| *c == wanted).count();
        assert_eq!(count('{'), count('}'), "{script}");
        assert_eq!(count('"') % 2, 0, "{script}");
        let known = |c: char| c.is_ascii_alphanumeric() || " \n{}\":;,./-_!=+@".contains(c);
        assert!(script.chars().all(known), "{script}");
        let commands = ["include", "define", "undefine", "redefine"];
        assert!(
            !script.lines().any(|line| commands.iter().any(|word| line.trim_start().starts_with(word))),
            "{script}"
        );
    }
}
