//! Instances in a network: addresses, names, filters, limits.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hull_plugin::network::Lease;
use hull_plugin::testing::context;
use hull_plugin::{Code, NetworkName};

use super::host::{Instance, TestHost, on_a_host, run};

const NETWORK: [(&str, &str); 3] = [("ipv4.address", "10.99.1.1/24"), ("ipv4.nat", "true"), ("ipv6.address", "none")];

#[test]
fn an_instance_gets_an_address_by_dhcp_and_a_name_in_dns() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let (web, db) = (Instance::new("web"), Instance::new("db"));
        let attachment = host.attach(&web, "br0", &[]).await.unwrap();
        host.attach(&db, "br0", &[("ipv4.address", "10.99.1.77")]).await.unwrap();
        assert!(run("ip link").contains(&attachment.host_name));
        assert!(web.run("ip -br link show eth0").contains("DOWN"));

        let address = web.dhcp();
        assert!(address.starts_with("10.99.1."), "{address}");
        assert_eq!(db.dhcp(), "10.99.1.77");
        let answer = db.output("busybox nslookup web.lxd 10.99.1.1");
        assert!(String::from_utf8_lossy(&answer.stdout).contains(&address), "{answer:?}");
        db.run("busybox ping -c 1 -W 2 10.99.1.1");

        let leases = leases(&host, "br0").await;
        let has = |hostname: &str, address: &str, kind: &str| {
            leases.iter().any(|lease| lease.hostname == hostname && lease.address == address && lease.kind == kind)
        };
        assert!(has("br0.gw", "10.99.1.1", "gateway") && has("web", &address, "dynamic"), "{leases:?}");
        assert!(has("db", "10.99.1.77", "static") && leases.len() == 3, "{leases:?}");

        let taken = host.attach(&Instance::new("x"), "br0", &[("ipv4.address", "10.99.1.77")]).await.unwrap_err();
        assert_eq!(taken.code, Code::InvalidConfig, "{taken}");
        host.detach("web").await;
        host.detach("db").await;
        host.detach("db").await;
        assert!(!run("ip link").contains(&attachment.host_name), "the namespace lives, so the link is deleted");
        host.delete("br0").await;
        host.assert_empty();
    });
}

#[test]
fn an_address_goes_from_one_instance_to_the_next() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let (old, new) = (Instance::new("old"), Instance::new("new"));
        host.attach(&old, "br0", &[("ipv4.address", "10.99.1.77")]).await.unwrap();
        assert_eq!(old.dhcp(), "10.99.1.77");
        host.detach("old").await;
        host.attach(&new, "br0", &[("ipv4.address", "10.99.1.78")]).await.unwrap();
        assert_eq!(new.dhcp(), "10.99.1.78");
        host.detach("new").await;
        host.attach(&new, "br0", &[("ipv4.address", "10.99.1.79")]).await.unwrap();
        assert_eq!(new.dhcp(), "10.99.1.79");
        host.attach(&old, "br0", &[("ipv4.address", "10.99.1.78")]).await.unwrap();
        assert_eq!(old.dhcp(), "10.99.1.78");
        let third = Instance::new("third");
        host.attach(&third, "br0", &[]).await.unwrap();
        assert_ne!(third.dhcp(), "10.99.1.77");
    });
}

#[test]
fn a_dying_namespace_takes_its_nic_along() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let instance = Instance::new("c1");
        let attachment = host.attach(&instance, "br0", &[]).await.unwrap();
        drop(instance);
        let start = Instant::now();
        host.detach("c1").await;
        let took = start.elapsed();
        while run("ip link").contains(&attachment.host_name) {
            assert!(start.elapsed() < Duration::from_secs(5), "the veth did not go");
        }
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn a_filtered_instance_cannot_borrow_an_address() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let (good, bad) = (Instance::new("good"), Instance::new("bad"));
        host.attach(&good, "br0", &[]).await.unwrap();
        let attachment = host
            .attach(&bad, "br0", &[("security.ipv4_filtering", "true"), ("security.ipv6_filtering", "true")])
            .await
            .unwrap();
        good.dhcp();
        bad.dhcp();
        assert!(bad.output("busybox ping -c 1 -W 2 10.99.1.1").status.success());
        bad.run("ip addr flush dev eth0");
        bad.run("ip addr add 10.99.1.200/24 dev eth0");
        assert!(!bad.output("busybox ping -c 1 -W 1 10.99.1.1").status.success(), "a foreign IPv4 address passed");
        host.detach("bad").await;
        let rules = run("nft list ruleset");
        assert!(!rules.contains(&attachment.host_name), "{rules}");

        host.attach(&bad, "br0", &[("security.mac_filtering", "true")]).await.unwrap();
        bad.dhcp();
        assert!(bad.output("busybox ping -c 1 -W 2 10.99.1.1").status.success());
        bad.run("ip link set eth0 address 00:16:3e:aa:aa:aa");
        assert!(!bad.output("busybox ping -c 1 -W 1 10.99.1.1").status.success(), "a foreign MAC passed");
    });
}

#[test]
fn isolated_instances_reach_the_host_but_not_each_other() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let (a, b) = (Instance::new("a1"), Instance::new("b2"));
        for instance in [&a, &b] {
            host.attach(instance, "br0", &[("security.port_isolation", "true")]).await.unwrap();
        }
        a.dhcp();
        let address = b.dhcp();
        assert!(a.output("busybox ping -c 1 -W 2 10.99.1.1").status.success());
        assert!(!a.output(&format!("busybox ping -c 1 -W 1 {address}")).status.success());
    });
}

#[test]
fn limits_hold_in_both_directions_and_leave_no_device() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let instance = Instance::new("slow");
        host.attach(&instance, "br0", &[("limits.max", "40Mbit")]).await.unwrap();
        let address = instance.dhcp();
        let out = instance.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let port = out.local_addr().unwrap().port();
        let into = std::thread::spawn(move || receive(&out.accept().unwrap().0));
        send(&mut TcpStream::connect((address, port)).unwrap());
        let incoming = into.join().unwrap();

        let listener = TcpListener::bind("10.99.1.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let from = std::thread::spawn(move || receive(&listener.accept().unwrap().0));
        instance.inside(move || send(&mut TcpStream::connect(("10.99.1.1", port)).unwrap()));
        let outgoing = from.join().unwrap();
        for rate in [incoming, outgoing] {
            assert!((20.0..44.0).contains(&rate), "{incoming:.1} in, {outgoing:.1} out, of 40 Mbit/s");
        }
        assert!(run("ip -br link").contains("ifb"));
        host.detach("slow").await;
        host.delete("br0").await;
        host.assert_empty();
    });
}

#[test]
fn a_failed_attach_leaves_nothing() {
    on_a_host(|host| async move {
        host.ensure("br0", &NETWORK).await.unwrap();
        let instance = Instance::new("c1");
        instance.run("ip link add eth0 type bridge");
        let error = host.attach(&instance, "br0", &[("limits.max", "1Mbit")]).await.unwrap_err();
        assert_eq!(error.code, Code::AlreadyExists, "{error}");
        let missing = host.attach(&instance, "br5", &[]).await.unwrap_err();
        assert_eq!(missing.code, Code::NotFound, "{missing}");
        host.delete("br0").await;
        host.assert_empty();
    });
}

#[test]
fn stateless_ipv6_instances_get_an_address_by_advertisement() {
    on_a_host(|host| async move {
        host.ensure("br0", &[("ipv4.address", "none"), ("ipv6.address", "fd42:1:2:3::1/64")]).await.unwrap();
        let instance = Instance::new("six");
        host.attach(&instance, "br0", &[]).await.unwrap();
        instance.run("ip link set eth0 up");
        let start = Instant::now();
        while !instance.run("ip -6 addr show dev eth0 scope global").contains("fd42:1:2:3:") {
            assert!(start.elapsed() < Duration::from_secs(20), "no router advertisement: {}", instance.run("ip addr"));
        }
        assert!(leases(&host, "br0").await.iter().any(|lease| lease.address.starts_with("fd42:1:2:3:216:3eff:fe")));
    });
}

async fn leases(host: &TestHost, name: &str) -> Vec<Lease> {
    host.harness.driver.leases(context(), NetworkName::new(name).unwrap()).await.unwrap().unwrap()
}

const AMOUNT: usize = 8 << 20;

fn send(stream: &mut TcpStream) {
    stream.write_all(&vec![7; AMOUNT]).unwrap();
}

/// Mbit/s.
fn receive(mut stream: &TcpStream) -> f64 {
    let (start, mut buffer, mut total) = (Instant::now(), vec![0; 1 << 16], 0u32);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            length => total += u32::try_from(length).unwrap(),
        }
    }
    f64::from(total) * 8.0 / start.elapsed().as_secs_f64() / 1e6
}
