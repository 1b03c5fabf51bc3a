//! Uploads.

use std::io::Write;
use std::time::{Duration, Instant};

use hull_plugin::testing::context;
use hull_plugin::{Code, LifecycleClient};

use super::source::{all, with_source};

const FORM: &str = "multipart/form-data; boundary=XyZ";
const PLENTY: u64 = 1 << 30;

fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.tar\"\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body: Vec<u8> = parts.iter().flat_map(|(name, content)| part(name, content)).collect();
    body.extend(b"--XyZ--\r\n");
    body
}

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 17) as u8).collect()
}

#[test]
fn a_form_is_taken_apart_and_anything_else_is_one_file() {
    with_source(async |source| {
        let (metadata, rootfs) = (noise(70_000), noise(3_000_000));
        for name in ["rootfs", "rootfs.img"] {
            let body = form(&[("metadata", &metadata), (name, &rootfs)]);
            assert_eq!(source.receive(FORM, PLENTY, all(body)).await.unwrap(), (metadata.clone(), rootfs.clone()));
        }
        let body = form(&[("rootfs", &rootfs), ("metadata", &metadata)]);
        assert_eq!(source.receive(FORM, PLENTY, all(body)).await.unwrap(), (metadata.clone(), rootfs.clone()));
        let raw = source.receive("application/octet-stream", PLENTY, all(rootfs.clone())).await.unwrap();
        assert_eq!(raw, (rootfs.clone(), vec![]));
        assert_eq!(source.receive("", rootfs.len() as u64, all(rootfs.clone())).await.unwrap().0, rootfs);
    });
}

#[test]
fn bad_uploads_are_refused_with_the_reason() {
    with_source(async |source| {
        let big = noise(300_000);
        let whole = form(&[("metadata", b"m"), ("rootfs", &big)]);
        let cases: [(&str, u64, Vec<u8>, &str); 11] = [
            ("", PLENTY, vec![], "empty"),
            ("", 299_999, big.clone(), "299999 bytes"),
            (FORM, 1000, whole.clone(), "1000 bytes"),
            (FORM, 300_000, whole.clone(), "300000 bytes"),
            (FORM, PLENTY, whole[..whole.len() - 20].to_vec(), "cut short"),
            (FORM, PLENTY, vec![], "cut short"),
            (FORM, PLENTY, b"no form at all".to_vec(), "cut short"),
            (FORM, PLENTY, form(&[("metadata", b"m")]), "parts `metadata` and `rootfs`"),
            (FORM, PLENTY, form(&[("metadata", b"m"), ("metadata", b"m"), ("rootfs", b"r")]), "twice"),
            (FORM, PLENTY, form(&[("metadata", b"m"), ("passwd", b"r")]), "unknown part `passwd`"),
            ("multipart/form-data", PLENTY, whole, "no boundary"),
        ];
        for (content_type, limit, body, word) in cases {
            let error = source.receive(content_type, limit, all(body)).await.unwrap_err();
            assert_eq!(error.code, Code::Corrupt, "{error}");
            assert!(error.to_string().contains(word), "`{error}` does not say `{word}`");
        }
    });
}

#[test]
fn a_slow_sender_holds_nobody_up() {
    with_source(async |source| {
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let slow = source.receive("", PLENTY, move |mut pipe| {
            pipe.write_all(b"first").unwrap();
            wait.recv().unwrap();
            pipe.write_all(b" second").unwrap();
        });
        let others = async {
            assert_answers(&source.harness.lifecycle).await;
            let quick = source.harness.driver.list(context(), String::new()).await.unwrap();
            assert_eq!(quick.unwrap_err().code, Code::Unsupported);
            go_on.send(()).unwrap();
        };
        let (received, ()) = tokio::join!(slow, others);
        assert_eq!(received.unwrap().0, b"first second");
    });
}

async fn assert_answers(lifecycle: &LifecycleClient) {
    let start = Instant::now();
    for _ in 0..20 {
        assert!(lifecycle.describe(context()).await.unwrap().can("inspect"));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_form_is_written_while_it_arrives_and_its_heads_are_bounded() {
    with_source(async |source| {
        let place = source.path("rootfs");
        let body = source.receive(FORM, PLENTY, move |mut pipe| {
            let content = noise(4 << 20);
            pipe.write_all(&part("metadata", b"m")).unwrap();
            let rootfs = part("rootfs", &content);
            pipe.write_all(&rootfs[..rootfs.len() - 2]).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while std::fs::metadata(&place).unwrap().len() < 3 << 20 {
                assert!(Instant::now() < deadline, "it is kept in memory");
                std::thread::sleep(Duration::from_millis(5));
            }
            pipe.write_all(b"\r\n--XyZ--\r\n").unwrap();
        });
        assert!(body.await.unwrap().1 == noise(4 << 20));
        let (sent, taken) = std::sync::mpsc::channel();
        let endless = source.receive(FORM, PLENTY, move |mut pipe| {
            let written = (0..64).take_while(|_| pipe.write_all(&[b'x'; 1 << 20]).is_ok()).count();
            sent.send(written).unwrap();
        });
        let error = endless.await.unwrap_err();
        assert_eq!(error.code, Code::Corrupt, "{error}");
        assert!(error.to_string().contains("within 64 KiB"), "{error}");
        assert!(taken.recv().unwrap() < 4);
    });
}
