//! Networks come, change, survive and go.

use hull_plugin::testing::context;
use hull_plugin::{Code, NetworkName, OperationId, Recovered, StoredHandle};

use super::host::{on_a_host, run};

#[test]
fn a_network_without_words_gets_addresses_nat_and_services() {
    on_a_host(|host| async move {
        let op = OperationId::random();
        let ready = host.ensure_again(&op, "br0", &[]).await.unwrap();
        let (ipv4, ipv6) = (ready.config["ipv4.address"].clone(), ready.config["ipv6.address"].clone());
        assert_eq!((ready.config["ipv4.nat"].as_str(), ready.config["ipv6.nat"].as_str()), ("true", "true"));
        let addresses = run("ip addr show br0");
        assert!(addresses.contains(&ipv4) && addresses.contains(&ipv6), "{addresses}");
        let rules = run("nft list ruleset");
        assert_eq!(rules.matches("masquerade").count(), 2, "{rules}");
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");

        // Repeated after a crash, the same call gets the same answer.
        let again = host.ensure_again(&op, "br0", &[]).await.unwrap();
        assert_eq!(again.config, ready.config);

        host.delete("br0").await;
        host.delete("br0").await;
        host.assert_empty();
    });
}

#[test]
fn a_change_comes_into_effect_and_a_wrong_one_leaves_all_as_it_was() {
    on_a_host(|host| async move {
        let first = [("ipv4.address", "10.77.1.1/24"), ("ipv4.nat", "true"), ("ipv6.address", "none")];
        host.ensure("br0", &first).await.unwrap();
        let changed = [("ipv4.address", "10.77.2.1/24"), ("ipv6.address", "none"), ("bridge.mtu", "1400")];
        host.ensure("br0", &changed).await.unwrap();
        let shown = run("ip addr show br0");
        assert!(
            shown.contains("10.77.2.1/24") && !shown.contains("10.77.1.1") && shown.contains("mtu 1400"),
            "{shown}"
        );
        assert!(!run("nft list ruleset").contains("masquerade"));

        let broken = [("ipv4.address", "10.77.3.1/24"), ("ipv6.address", "none"), ("raw.dnsmasq", "no-such-option=1")];
        let error = host.ensure("br0", &broken).await.unwrap_err();
        assert_eq!((error.code, error.key.as_deref()), (Code::InvalidConfig, Some("raw.dnsmasq")), "{error}");
        let shown = run("ip addr show br0");
        assert!(shown.contains("10.77.2.1/24") && !shown.contains("10.77.3.1"), "{shown}");
    });
}

#[test]
fn what_is_taken_or_foreign_is_refused_and_untouched() {
    on_a_host(|host| async move {
        run("ip link add br1 type bridge");
        let error = host.ensure("br1", &[]).await.unwrap_err();
        assert_eq!(error.code, Code::AlreadyExists, "{error}");
        run("ip addr add 10.88.0.1/16 dev br1");
        run("ip link set br1 up");
        let error = host.ensure("br0", &[("ipv4.address", "10.88.5.1/24")]).await.unwrap_err();
        assert_eq!((error.code, error.key.as_deref()), (Code::InvalidConfig, Some("ipv4.address")), "{error}");
        host.delete("br1").await;
        run("ip link show br1");
        let listed = host.harness.driver.host_interfaces(context()).await.unwrap().unwrap();
        assert_eq!(listed, [("br1".into(), "bridge".into()), ("lo".into(), "loopback".into())]);
        run("ip link del br1");
        host.assert_empty();
    });
}

#[test]
fn a_new_process_knows_its_networks_and_a_reboot_is_made_good() {
    on_a_host(|mut host| async move {
        let ready = host.ensure("br0", &[]).await.unwrap();
        let config: Vec<_> = ready.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let stored = || vec![StoredHandle { object: "br0".into(), handle: ready.handle.clone() }];
        host.restart();
        let recovered = host.harness.lifecycle.recover(context(), stored()).await.unwrap().unwrap();
        assert_eq!(recovered, [Recovered::Adopted]);

        run("ip link del br0");
        run("nft flush ruleset");
        let recovered = host.harness.lifecycle.recover(context(), stored()).await.unwrap().unwrap();
        assert_eq!(recovered, [Recovered::Gone { status: None }]);
        let again = host.ensure("br0", &config).await.unwrap();
        assert_eq!(again.config, ready.config);
        assert!(run("nft list ruleset").contains("masquerade") && run("ip addr show br0").contains(config[0].1));

        let state =
            host.harness.driver.network_state(context(), NetworkName::new("br0").unwrap()).await.unwrap().unwrap();
        assert!(state.up && state.mtu == 1500 && state.hwaddr.starts_with("00:16:3e:"), "{state:?}");
        assert!(state.addresses.iter().any(|address| address.family == "inet" && address.netmask == "24"), "{state:?}");
    });
}

/// The kernel makes one list at a time for a socket, and refuses another with EBUSY.
#[test]
fn many_questions_at_a_time_are_all_answered() {
    on_a_host(|host| async move {
        host.ensure("br0", &[]).await.unwrap();
        for number in 0..40 {
            run(&format!("ip link add many{number} type bridge"));
        }
        let driver = &host.harness.driver;
        let ask = async |number: usize| match number % 2 {
            0 => driver.host_interfaces(context()).await.unwrap().map(drop),
            _ => driver.network_state(context(), NetworkName::new("br0").unwrap()).await.unwrap().map(drop),
        };
        for answer in futures::future::join_all((0..20).map(ask)).await {
            answer.unwrap();
        }
        host.delete("br0").await;
    });
}

#[test]
fn what_nobody_knows_is_found_and_collected_and_no_other_hulls() {
    on_a_host(|host| async move {
        host.ensure("br0", &[]).await.unwrap();
        host.ensure("br2", &[]).await.unwrap();
        run("ip link add br9 type bridge");
        run("ip link set br9 alias hull:00000000");
        let known = vec!["br0".into(), "br7".into(), "c1/eth0".into()];
        let answer = host.harness.driver.reconcile(context(), known, true).await.unwrap().unwrap();
        assert_eq!(answer.missing, ["br7", "c1/eth0"]);
        assert_eq!(answer.unknown, ["network:br2"]);
        host.harness.driver.collect(context(), OperationId::random(), answer.unknown).await.unwrap().unwrap();
        let links = run("ip -br link");
        assert!(links.contains("br0") && links.contains("br9") && !links.contains("br2"), "{links}");
    });
}
