//! Figures, not verdicts: `cargo nextest run -p hull-gateway --run-ignored only --no-capture -E 'binary(measure)'`,
//! with an optimised build for figures that mean something.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are tests

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use support::{Client, Rig, blocking, request, run};

const LATENCY_REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 16;
const REQUESTS_EACH: usize = 10_000;
const STREAM: u64 = 1 << 30;
const FILE: u64 = 512 << 20;

#[test]
#[ignore = "prints figures"]
fn figures() {
    run(|| async {
        let mut rig = Rig::start();
        rig.ready().await;
        println!("idle memory, KiB: {}", memory(rig.child.id()));

        let mut stream = rig.connect().await.0;
        let mut times = blocking(move || latencies(&mut stream, LATENCY_REQUESTS)).await;
        times.sort_unstable();
        println!("GET of 9 KB, us: p50 {} p95 {}", times[times.len() / 2], times[times.len() * 19 / 20]);

        let (start, before) = (Instant::now(), processor_time(rig.child.id()));
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = rig.connect().await.0;
            clients.push(tokio::task::spawn_blocking(move || drop(latencies(&mut stream, REQUESTS_EACH))));
        }
        for client in clients {
            client.await.unwrap();
        }
        let rate = (CONNECTIONS * REQUESTS_EACH) as f64 / start.elapsed().as_secs_f64();
        let each = (processor_time(rig.child.id()) - before) * 1e6 / (CONNECTIONS * REQUESTS_EACH) as f64;
        println!("GET of 9 KB on {CONNECTIONS} connections, 1/s: {rate:.0}; processor, us each: {each:.1}");

        for round in 0..3 {
            let before = processor_time(rig.child.id());
            let mut client = rig.client().await;
            let rate = blocking(move || output(&mut client)).await;
            let used = processor_time(rig.child.id()) - before;
            println!("round {round}: websocket output, MB/s: {rate:.0}; processor, s/GiB: {used:.2}");
            let mut client = rig.client().await;
            println!("round {round}: file pull, MB/s: {:.0}", blocking(move || pull(&mut client)).await);
            let directory = tempfile::tempdir_in("/dev/shm").unwrap();
            let path = directory.path().join("pushed");
            let mut client = rig.client().await;
            let rate = blocking(move || push(&mut client, &path.display().to_string())).await;
            println!("round {round}: file push, MB/s: {rate:.0}");
        }
        println!("memory after work, KiB: {}", memory(rig.child.id()));
    });
}

/// Microseconds of each of `count` requests on one connection.
fn latencies(stream: &mut UnixStream, count: usize) -> Vec<u64> {
    let request = request("GET", "/server");
    let mut buffer = vec![0; 64 * 1024];
    let mut times = Vec::with_capacity(count);
    let mut expected = 0;
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let mut received = 0;
        while received == 0 || received < expected {
            received += stream.read(&mut buffer[received..]).unwrap();
            if expected == 0 {
                let text = String::from_utf8_lossy(&buffer[..received]);
                expected = text.find("\r\n\r\n").unwrap() + 4 + 9000;
            }
        }
        times.push(start.elapsed().as_micros() as u64);
    }
    times
}

fn output(client: &mut Client) -> f64 {
    client.send(format!(
        "GET /zeros?{STREAM} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    assert_eq!(client.head().status, 101);
    let start = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut total = client.reader.buffer().len() as u64;
    while total < STREAM {
        total += client.reader.get_mut().read(&mut buffer).unwrap() as u64;
    }
    rate(STREAM, start)
}

fn pull(client: &mut Client) -> f64 {
    client.send(request("GET", &format!("/file?{FILE}")));
    assert_eq!(client.head().status, 200); // the file has been filled by now
    let start = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut total = client.reader.buffer().len() as u64;
    while total < FILE {
        total += client.reader.get_mut().read(&mut buffer).unwrap() as u64;
    }
    rate(FILE, start)
}

fn push(client: &mut Client, path: &str) -> f64 {
    let piece = vec![7; 256 * 1024];
    let start = Instant::now();
    client.send(format!("PUT /sink?{path} HTTP/1.1\r\nHost: h\r\nContent-Length: {FILE}\r\n\r\n"));
    for _ in 0..FILE / piece.len() as u64 {
        client.send(&piece);
    }
    assert_eq!(client.reply().text(), "stored");
    assert_eq!(std::fs::metadata(path).unwrap().len(), FILE);
    rate(FILE, start)
}

fn rate(bytes: u64, start: Instant) -> f64 {
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// The proportional share of memory, and what is private.
fn memory(pid: u32) -> String {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    format!("Pss {} of which anonymous {}", field("Pss:"), field("Pss_Anon:"))
}

/// Seconds of processor time used so far.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
