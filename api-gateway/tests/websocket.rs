//! Websockets through the real process, with tungstenite as the client.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are tests

mod support;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use support::{Rig, blocking, checksum, pattern, run};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const LARGE: u64 = 200 << 20;

async fn open(rig: &mut Rig, path: &str) -> (WebSocketStream<UnixStream>, hull_gateway_contract::Token) {
    let (stream, token) = rig.connect().await;
    stream.set_nonblocking(true).unwrap();
    let stream = UnixStream::from_std(stream).unwrap();
    let (socket, response) =
        client_async_with_config(format!("ws://hull{path}"), stream, Some(WebSocketConfig::default())).await.unwrap();
    assert_eq!(response.status(), 101);
    (socket, token)
}

async fn next(socket: &mut WebSocketStream<UnixStream>) -> Message {
    tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap()
}

/// The bytes of binary messages until the empty text message, which a close follows.
async fn read_to_end(socket: &mut WebSocketStream<UnixStream>) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        match next(socket).await {
            Message::Binary(bytes) => content.extend_from_slice(&bytes),
            Message::Text(text) => {
                assert_eq!(text.as_str(), "");
                assert!(matches!(next(socket).await, Message::Close(_)));
                return content;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn output_ends_with_an_empty_text_and_a_close() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut socket, token) = open(&mut rig, "/output?100000").await;
        let content = read_to_end(&mut socket).await;
        assert_eq!(checksum(content.as_slice()), checksum(pattern(100_000)));
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        rig.wait_closed(token).await;
    });
}

#[test]
fn a_large_output_is_whole() {
    run(|| async {
        let mut rig = Rig::start();
        let expected = blocking(|| checksum(pattern(LARGE))).await;
        let (mut socket, _) = open(&mut rig, &format!("/output?{LARGE}")).await;
        let (mut hash, mut total) = (Sha256::new(), 0);
        while let Message::Binary(bytes) = next(&mut socket).await {
            hash.update(&bytes);
            total += bytes.len();
        }
        let sum: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("{total} {sum}"), expected);
    });
}

/// Small pieces are copied, large ones moved inside the kernel, and the pipe grows in between.
#[test]
fn output_in_pieces_of_all_sizes_is_whole() {
    const SIZES: [u32; 8] = [1, 3000, 3700, 3800, 12_000, 60_000, 7, 300_000];
    run(|| async {
        let mut rig = Rig::start();
        let sizes = SIZES.map(|size| size.to_string()).join("+");
        let path = format!("/process?for+n+in+{sizes};do+seq+$n;sleep+0.02;done");
        let (mut socket, _) = open(&mut rig, &path).await;
        let expected: String = SIZES.iter().flat_map(|size| 1..=*size).map(|line| format!("{line}\n")).collect();
        let received = read_to_end(&mut socket).await;
        assert_eq!(received.len(), expected.len());
        assert!(received == expected.as_bytes());
    });
}

/// A program may read its own output: what it takes is not sent, and nothing waits for it for ever.
#[test]
fn output_that_is_taken_by_its_own_program_holds_nothing_up() {
    run(|| async {
        for _ in 0..5 {
            let mut rig = Rig::start();
            let path = "/process?dd+if=/proc/self/fd/1+of=/dev/null+bs=64k&for+n+in+$(seq+300);do+head+-c+65536+/dev/zero;done";
            let (mut socket, token) = open(&mut rig, path).await;
            while let Some(Ok(_)) = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap() {}
            rig.wait_closed(token).await;
        }
    });
}

#[test]
fn an_empty_message_closes_the_input() {
    run(|| async {
        let mut rig = Rig::start();
        for end in [Message::text(""), Message::binary(Vec::new())] {
            let (socket, _) = open(&mut rig, "/process?cat;echo+end").await;
            let (mut sink, mut stream) = socket.split();
            let mut content = vec![0; 3_000_000];
            std::io::Read::read_exact(&mut pattern(3_000_000), &mut content).unwrap();
            let sent = content.clone();
            let send = async {
                for piece in sent.chunks(70_001) {
                    sink.send(Message::binary(piece.to_vec())).await.unwrap();
                }
                sink.send(end).await.unwrap();
            };
            let receive = async {
                let mut received = Vec::new();
                while let Some(Ok(Message::Binary(bytes))) = stream.next().await {
                    received.extend_from_slice(&bytes);
                }
                received
            };
            let ((), received) = tokio::join!(send, receive);
            content.extend(b"end\n");
            assert_eq!(checksum(received.as_slice()), checksum(content.as_slice()));
        }
    });
}

#[test]
fn a_terminal_ends_when_its_last_process_does() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut socket, _) = open(&mut rig, "/terminal").await;
        socket.send(Message::binary(b"it\n".to_vec())).await.unwrap();
        let content = read_to_end(&mut socket).await;
        assert!(String::from_utf8_lossy(&content).contains("got it"), "{content:?}");
    });
}

#[test]
fn fragments_pings_and_unread_input_are_handled() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut socket, _) = open(&mut rig, "/process?cat").await;
        let frame = |data, fin| Message::Frame(Frame::message(b"ab".to_vec(), OpCode::Data(data), fin));
        socket.send(frame(Data::Binary, false)).await.unwrap();
        socket.send(Message::Ping(b"p".to_vec().into())).await.unwrap();
        socket.send(frame(Data::Continue, true)).await.unwrap();
        let (mut content, mut pongs) = (Vec::new(), 0);
        while content.len() < 4 || pongs == 0 {
            match next(&mut socket).await {
                Message::Binary(bytes) => content.extend_from_slice(&bytes),
                Message::Pong(bytes) => pongs += usize::from(bytes == b"p".as_slice()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(content, b"abab");
        // The process stops reading, yet its output and its end arrive.
        let (mut socket, _) = open(&mut rig, "/process?exec+0%3C%26-;sleep+0.1;echo+done").await;
        for _ in 0..50 {
            let _ = socket.send(Message::binary(vec![0; 10_000])).await;
        }
        assert_eq!(read_to_end(&mut socket).await, b"done\n");
    });
}

#[test]
fn a_client_that_vanishes_ends_the_process_behind_it() {
    run(|| async {
        let mut rig = Rig::start();
        let marker = tempfile::tempdir().unwrap();
        let file = marker.path().join("ended");
        rig.ready().await;
        let before = rig.open_descriptors();
        let (mut socket, token) = open(&mut rig, &format!("/process?cat;touch+{}", file.display())).await;
        socket.send(Message::binary(b"x".to_vec())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::binary(b"x".to_vec()));
        drop(socket);
        rig.wait_closed(token).await;
        let ended = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the process's input was closed");
        assert!(rig.open_descriptors() <= before);
    });
}

#[test]
fn a_client_that_vanishes_while_the_input_is_full_is_noticed() {
    run(|| async {
        let mut rig = Rig::start();
        let (stream, token) = rig.connect().await;
        stream.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(stream).unwrap();
        let (mut socket, _) = client_async_with_config("ws://hull/held", stream, None).await.unwrap();
        let flood = async {
            loop {
                socket.send(Message::binary(vec![1; 50_000])).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(300), flood).await.is_err(), "the client is held back");
        drop(socket);
        tokio::time::timeout(Duration::from_secs(2), rig.wait_closed(token)).await.expect("noticed at once");
    });
}

#[test]
fn messages_are_packets_both_ways() {
    run(|| async {
        let mut rig = Rig::start();
        let (mut socket, token) = open(&mut rig, "/messages").await;
        for text in ["one".to_owned(), "two".to_owned(), "x".repeat(100_000)] {
            socket.send(Message::text(text.clone())).await.unwrap();
            assert_eq!(next(&mut socket).await, Message::text(text.to_uppercase()));
        }
        socket.send(Message::text("bye")).await.unwrap();
        assert!(matches!(next(&mut socket).await, Message::Close(_)));
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        rig.wait_closed(token).await;

        let (mut socket, _) = open(&mut rig, "/messages").await;
        socket.send(Message::text("x".repeat(200_000))).await.unwrap();
        match next(&mut socket).await {
            Message::Close(Some(CloseFrame { code, .. })) => assert_eq!(u16::from(code), 1009),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_client_that_breaks_the_protocol_is_told() {
    run(|| async {
        use std::io::{Read, Write};
        let mut rig = Rig::start();
        let (stream, token) = rig.connect().await;
        blocking(move || {
            let mut client = support::Client::new(stream);
            client.send(
                "GET /process?cat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
            let head = client.head();
            assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
            client.writer.write_all(&[0x82, 0x01, b'x']).unwrap(); // not masked
            let mut close = [0; 4];
            client.reader.read_exact(&mut close).unwrap();
            assert_eq!(close, [0x88, 2, 0x03, 0xea]); // 1002
        })
        .await;
        rig.wait_closed(token).await;
    });
}

#[test]
fn other_protocols_are_bytes_both_ways() {
    run(|| async {
        let mut rig = Rig::start();
        let (stream, token) = rig.connect().await;
        blocking(move || {
            use std::io::Read;
            let mut client = support::Client::new(stream);
            client.send("GET /raw HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\nearly");
            let head = client.head();
            assert_eq!((head.status, head.header("upgrade")), (101, Some("sftp")));
            let mut writer = client.writer.try_clone().unwrap();
            let writing = std::thread::spawn(move || {
                std::io::copy(&mut pattern(5_000_000), &mut writer).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut early = [0; 5];
            client.reader.read_exact(&mut early).unwrap();
            assert_eq!(&early, b"early");
            assert_eq!(checksum(&mut client.reader), checksum(pattern(5_000_000)));
            writing.join().unwrap();
        })
        .await;
        rig.wait_closed(token).await;
    });
}
