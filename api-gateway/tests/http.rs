//! HTTP through the real process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are tests

mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use support::{Client, Rig, blocking, checksum, pattern, request, run};

const UPLOAD: u64 = 100 << 20;

#[test]
fn requests_share_a_connection_and_may_be_pipelined() {
    run(|| async {
        let mut rig = Rig::start();
        let mut client = rig.client().await;
        blocking(move || {
            for _ in 0..3 {
                let reply = client.get("/inline");
                assert_eq!((reply.status, reply.text(), reply.header("connection")), (200, "hello", None));
                assert!(reply.header("date").unwrap().ends_with(" GMT"));
                assert_eq!(reply.header("content-type"), Some("text/plain"));
            }
            let post = "POST /echo?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
            let chunked =
                "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\n";
            client.send([request("GET", "/inline").as_str(), post, chunked, &request("GET", "/inline")].concat());
            assert_eq!(client.reply().text(), "hello");
            let sum = checksum(b"abc".as_slice());
            assert_eq!(client.reply().text(), format!("POST /echo?a=b inline 3 {sum} None"));
            assert_eq!(client.reply().text(), format!("POST /echo inline 3 {sum} None"));
            assert_eq!(client.reply().text(), "hello");
        })
        .await;
    });
}

#[test]
fn answers_without_content_have_none() {
    run(|| async {
        let mut rig = Rig::start();
        let mut client = rig.client().await;
        blocking(move || {
            for (path, length) in [("/inline", Some("5")), ("/file?1000", Some("1000")), ("/chunks?10", None)] {
                client.send(request("HEAD", path));
                assert_eq!(client.head().header("content-length"), length, "{path}");
            }
            let nothing = client.get("/nothing");
            assert_eq!((nothing.status, nothing.header("content-length")), (204, None));
            assert_eq!(client.get("/part").body.len(), 20);
            let pieces = client.get("/pieces");
            assert_eq!((pieces.header("content-length"), pieces.body.len()), (Some("300004"), 300_004));
            assert_eq!((pieces.body[0], pieces.body[300_001]), (b'<', b'|'));
            client.send("GET /inline HTTP/1.0\r\n\r\n");
            let old = client.reply();
            assert_eq!((old.text(), old.header("connection")), ("hello", Some("close")));
            assert!(client.is_closed());
        })
        .await;
        let mut client = rig.client().await;
        blocking(move || {
            client.send("GET /inline HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().header("connection"), Some("close"));
            assert!(client.is_closed());
        })
        .await;
    });
}

#[test]
fn large_bodies_arrive_whole() {
    run(|| async {
        let mut rig = Rig::start();
        let expected = blocking(|| checksum(pattern(UPLOAD))).await;
        let directory = tempfile::tempdir().unwrap();
        for path in ["/stream".to_owned(), format!("/sink?{}", directory.path().join("file").display())] {
            for framing in [Framing::Length, Framing::Chunked] {
                let (mut client, target) = (rig.client().await, path.clone());
                let (reply, again) = blocking(move || {
                    upload(&mut client, &target, UPLOAD, framing);
                    (client.reply(), client.get("/inline"))
                })
                .await;
                let length = if framing == Framing::Length { Some(UPLOAD) } else { None };
                match path.as_str() {
                    "/stream" => assert_eq!(reply.text(), format!("{length:?} {expected}")),
                    _ => {
                        assert_eq!((reply.status, reply.text()), (200, "stored"));
                        let stored = std::fs::File::open(directory.path().join("file")).unwrap();
                        assert_eq!(blocking(move || checksum(stored)).await, expected);
                    }
                }
                assert_eq!(again.text(), "hello", "the connection is in step after {path}");
            }
        }
    });
}

#[test]
fn small_bodies_reach_their_sink_too() {
    run(|| async {
        let mut rig = Rig::start();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("small");
        let mut client = rig.client().await;
        let target = format!("/sink?{}", path.display());
        blocking(move || {
            client
                .send(format!("PUT {target} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
            assert_eq!(client.head().status, 100);
            client.send("12345");
            assert_eq!(client.reply().text(), "stored");
            upload(&mut client, "/unwritable", 5_000_000, Framing::Length);
            let reply = client.reply();
            assert_eq!(reply.status, 500, "{}", reply.text());
        })
        .await;
        assert_eq!(std::fs::read(path).unwrap(), b"12345");
    });
}

#[test]
fn a_refusal_does_not_wait_for_the_body() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut client, other) = (rig.client().await, rig.client().await);
        blocking(move || {
            client.send("PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 90000000\r\n\r\nonly the beginning");
            let reply = client.reply();
            assert_eq!((reply.status, reply.text(), reply.header("connection")), (403, "no", Some("close")));
            let mut other = other;
            assert_eq!(other.get("/inline").text(), "hello");
        })
        .await;
    });
}

#[test]
fn a_body_that_breaks_off_never_looks_complete() {
    run(|| async {
        let mut rig = Rig::start();
        let (stream, token) = rig.connect().await;
        let client = blocking(move || {
            let mut client = Client::new(stream);
            client.send("PUT /wait HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000)));
            client
        })
        .await;
        rig.until(|seen| *seen.waiting.borrow() == 1).await;
        drop(client);
        rig.until(|seen| *seen.cancelled.borrow() == 1).await;
        rig.wait_closed(token).await;
        let mut after = rig.client().await;
        assert_eq!(blocking(move || after.get("/inline").body).await, b"hello");
        assert_eq!(*rig.seen.repeated.borrow(), 0, "a token is closed once");
    });
}

#[test]
fn a_body_for_a_file_may_pause_and_break_off() {
    run(|| async {
        let mut rig = Rig::start();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let head = format!("PUT /sink?{} HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n", path.display());
        let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let (mut client, begins, pieces) = (rig.client().await, head.clone(), content.clone());
        let reply = blocking(move || {
            client.send(begins);
            for piece in pieces.chunks(1_100_000) {
                client.send(piece);
                std::thread::sleep(Duration::from_millis(60)); // longer than a helper thread waits
            }
            client.reply()
        })
        .await;
        assert_eq!((reply.status, reply.text()), (200, "stored"));
        assert_eq!(std::fs::read(&path).unwrap(), content);

        let (stream, token) = rig.connect().await;
        blocking(move || {
            let mut client = Client::new(stream);
            client.send(head);
            client.send(&content[..2_000_000]);
        })
        .await;
        rig.wait_closed(token).await;
        let mut after = rig.client().await;
        assert_eq!(blocking(move || after.get("/inline").body).await, b"hello");
        assert_eq!(*rig.seen.repeated.borrow(), 0, "a token is closed once");
    });
}

#[test]
fn files_and_streams_are_sent_whole() {
    run(|| async {
        let mut rig = Rig::start();
        for path in ["/file", "/chunks"] {
            let mut client = rig.client().await;
            let (sum, expected) = blocking(move || {
                client.send(request("GET", &format!("{path}?{UPLOAD}")));
                let head = client.head();
                let sum = checksum(client.content(&head));
                assert_eq!(client.get("/inline").text(), "hello");
                (sum, checksum(pattern(UPLOAD)))
            })
            .await;
            assert_eq!(sum, expected, "{path}");
        }
    });
}

#[test]
fn malformed_requests_are_refused_and_harm_nobody() {
    run(|| async {
        let mut rig = Rig::start();
        let cases: [(&[u8], u16); 9] = [
            (b"\x16\x03\x01\x02\x00\n\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"GET /inline HTTP/1.1\r\n\r\n", 400),
            (b"GET inline HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            (b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
            (b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 426),
            (b"GET /output HTTP/1.1\r\nHost: h\r\n\r\n", 426),
            (&[b'a'; 30_000], 431),
        ];
        for (bytes, status) in cases {
            let (stream, token) = rig.connect().await;
            let bytes = bytes.to_vec();
            let reply = blocking(move || {
                let mut client = Client::new(stream);
                client.send(bytes);
                let reply = client.reply();
                assert!(client.is_closed());
                reply
            })
            .await;
            assert_eq!(reply.status, status, "{}", reply.text());
            assert_eq!(reply.header("content-type"), Some("application/json"));
            let start = r#"{"type":"error","status":"","status_code":0,"#;
            let envelope: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(envelope["error_code"], status, "{start}");
            assert!(envelope["metadata"].is_null() && envelope["error"].is_string());
            rig.wait_closed(token).await;
        }
        let mut client = rig.client().await;
        assert_eq!(blocking(move || client.get("/inline").body).await, b"hello");
    });
}

#[test]
fn silent_slow_and_deaf_clients_delay_nobody() {
    run(|| async {
        let mut rig = Rig::start();
        let _silent = rig.client().await;
        let (mut slow, mut deaf, mut deaf_file) = (rig.client().await, rig.client().await, rig.client().await);
        slow.send("GET /inline HTTP/1.1\r\nHo");
        deaf.send(request("GET", "/chunks?100000000"));
        deaf_file.send(request("GET", "/file?100000000"));
        let mut stuck = rig.client().await;
        stuck.send("PUT /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\nx");
        for _ in 0..20 {
            let mut client = rig.client().await;
            let took = blocking(move || {
                let start = std::time::Instant::now();
                assert_eq!(client.get("/inline").text(), "hello");
                start.elapsed()
            })
            .await;
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
        slow.send("st: h\r\n\r\n");
        assert_eq!(blocking(move || slow.reply().body).await, b"hello");
    });
}

#[test]
fn a_reader_that_leaves_ends_its_call_and_its_connection() {
    run(|| async {
        let mut rig = Rig::start();
        let (stream, token) = rig.connect().await;
        let mut client = Client::new(stream);
        client.send(request("GET", "/wait"));
        rig.until(|seen| *seen.waiting.borrow() == 1).await;
        drop(client);
        rig.until(|seen| *seen.cancelled.borrow() == 1).await;
        rig.wait_closed(token).await;
        // One that only stops writing still wants its answer.
        let (stream, _) = rig.connect().await;
        let reply = blocking(move || {
            let mut client = Client::new(stream);
            client.send(request("GET", "/inline"));
            client.writer.shutdown(std::net::Shutdown::Write).unwrap();
            client.reply()
        })
        .await;
        assert_eq!(reply.text(), "hello");
    });
}

#[test]
fn a_thousand_connections_leave_no_descriptor() {
    run(|| async {
        let mut rig = Rig::start();
        let mut first = rig.client().await;
        let first = blocking(move || first.get("/file?100000")).await;
        assert_eq!(first.status, 200);
        let before = rig.open_descriptors();
        let mut tokens = Vec::new();
        for index in 0..1000 {
            let (stream, token) = rig.connect().await;
            tokens.push(token);
            blocking(move || drive(index, stream)).await;
        }
        for token in tokens {
            rig.wait_closed(token).await;
        }
        assert!(rig.open_descriptors() <= before, "{} of {before}", rig.open_descriptors());
    });
}

/// One of five ways to use a connection.
fn drive(index: usize, stream: UnixStream) {
    let mut client = Client::new(stream);
    match index % 5 {
        0 => {}
        1 => drop(client.get("/inline")),
        2 => client.send("PUT /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nxyz"),
        3 => drop(client.get("/chunks?1000")),
        _ => drop(client.get("/file?1000")),
    }
}

#[test]
fn draining_ends_idle_connections_and_finishes_requests() {
    run(|| async {
        let mut rig = Rig::start();
        let mut idle = rig.client().await;
        let mut busy = rig.client().await;
        idle.send(request("GET", "/inline"));
        let mut idle = blocking(move || {
            idle.reply();
            idle
        })
        .await;
        busy.send(request("GET", "/chunks?50000000"));
        let mut busy = blocking(move || {
            let head = busy.head();
            assert_eq!(head.status, 200);
            busy
        })
        .await;
        let gateway = rig.gateway.clone();
        let drain = tokio::task::spawn_local(async move {
            gateway.drain(hull_wire::context(hull_wire::RequestId(0), Duration::from_secs(60))).await
        });
        blocking(move || assert!(idle.is_closed())).await;
        assert!(!drain.is_finished());
        blocking(move || {
            let head = support::Reply {
                status: 200,
                headers: vec![("transfer-encoding".into(), "chunked".into())],
                body: Vec::new(),
            };
            assert!(checksum(busy.content(&head)).starts_with("50000000 "));
        })
        .await;
        drain.await.unwrap().unwrap();
        assert!(rig.child.try_wait().unwrap().is_none());
    });
}

#[test]
fn a_request_survives_the_end_of_its_hulld_unless_it_changes_something() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut reading, mut changing, mut late) = (rig.client().await, rig.client().await, rig.client().await);
        reading.send(request("GET", "/wait"));
        changing.send(request("POST", "/wait"));
        rig.until(|seen| *seen.waiting.borrow() == 2).await;
        rig.lose_api().await;
        let reply = blocking(move || changing.reply()).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
        late.send(request("POST", "/inline"));
        rig.attach();
        // The one is repeated, the other had never been sent.
        rig.until(|seen| *seen.waiting.borrow() == 3).await;
        assert_eq!(blocking(move || late.reply()).await.status, 200);
        let (_, token) = rig.connect().await;
        rig.wait_closed(token).await;
    });
}

#[test]
fn held_calls_are_taken_back_or_answered_and_go_on_afterwards() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut reading, mut late) = (rig.client().await, rig.client().await);
        reading.send(request("GET", "/wait"));
        rig.until(|seen| *seen.waiting.borrow() == 1).await;
        let context = || hull_wire::context(hull_wire::RequestId(0), Duration::from_secs(10));
        rig.gateway.hold(context()).await.unwrap();
        rig.until(|seen| *seen.cancelled.borrow() == 1).await;
        late.send(request("GET", "/inline"));
        let early = tokio::time::timeout(Duration::from_millis(200), rig.until(|seen| *seen.waiting.borrow() == 2));
        assert!(early.await.is_err(), "a held call went out");
        rig.gateway.release(context()).await.unwrap();
        rig.until(|seen| *seen.waiting.borrow() == 2).await;
        assert_eq!(blocking(move || late.reply()).await.status, 200);

        // What is held when its hulld leaves goes to the next.
        rig.gateway.hold(context()).await.unwrap();
        rig.lose_api().await;
        rig.attach();
        rig.until(|seen| *seen.waiting.borrow() == 3).await;
        drop(reading);
    });
}

#[test]
fn a_retired_gateway_ends_each_connection_with_an_answer_and_then_itself() {
    run(|| async {
        let mut rig = Rig::start();
        let mut idle = rig.client().await;
        idle.send(request("GET", "/inline"));
        let mut idle = blocking(move || {
            assert_eq!(idle.reply().header("connection"), None);
            idle
        })
        .await;
        rig.gateway.retire(hull_wire::context(hull_wire::RequestId(0), Duration::from_secs(10))).await.unwrap();
        blocking(move || {
            idle.send(request("GET", "/inline"));
            assert_eq!(idle.reply().header("connection"), Some("close"));
            assert!(idle.is_closed());
        })
        .await;
        assert!(blocking_wait(&mut rig).await.success());
    });
}

#[test]
fn without_hulld_and_keeper_it_says_so_and_ends() {
    run(|| async {
        let mut rig = Rig::start();
        let mut client = rig.client().await;
        client.send(request("GET", "/wait"));
        rig.until(|seen| *seen.waiting.borrow() == 1).await;
        rig.lose_keeper();
        rig.lose_api().await;
        let reply = blocking(move || client.reply()).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
        assert!(blocking_wait(&mut rig).await.success());
    });
}

async fn blocking_wait(rig: &mut Rig) -> std::process::ExitStatus {
    let pid = rig.child.id();
    blocking(move || {
        let fd = format!("/proc/{pid}");
        while std::fs::read_to_string(format!("{fd}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
    })
    .await;
    rig.child.wait().unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
}

fn upload(client: &mut Client, target: &str, length: u64, framing: Framing) {
    let head = format!("PUT {target} HTTP/1.1\r\nHost: h\r\n");
    let mut content = pattern(length);
    match framing {
        Framing::Length => {
            client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
            // A refused upload breaks the pipe: the answer tells why.
            let _ = std::io::copy(&mut content, &mut client.writer);
        }
        Framing::Chunked => {
            client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
            let mut buffer = vec![0; 100_000];
            loop {
                let length = std::io::Read::read(&mut content, &mut buffer).unwrap();
                write!(client.writer, "{length:x}\r\n").unwrap();
                client.send(&buffer[..length]);
                client.send("\r\n");
                if length == 0 {
                    return;
                }
            }
        }
    }
}
