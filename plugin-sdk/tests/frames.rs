//! Frames as they were recorded of every method of every contract: a change of what stands on the wire fails here.
//!
//! `frames/v1/` is contract version 1, `frames/v2/` what version 2 has beyond it: one line a frame, `METHOD request|reply HEX`.
//! Lines are never changed, only added: `cargo test -p hull-plugin --test frames -- --ignored` writes those of methods that have none yet. bincode has no names, so
//! fields and variants may not be reordered, inserted or removed.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are test code

mod samples;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use futures::{SinkExt, StreamExt};
use hull_plugin::tarpc::{ClientMessage, Request, Response};
use hull_plugin::{MAX_FRAME, RequestId, accept, connect, context};
use hull_sys::message::{packet_pair, receive, send};
use serde::Serialize;
use serde::de::DeserializeOwned;

const ID: u64 = 7;

/// A call and its answer.
pub(crate) struct Sample<Req, Resp> {
    pub(crate) method: &'static str,
    pub(crate) request: Req,
    pub(crate) reply: Resp,
}

/// What a packet holds.
type Packet = (Vec<u8>, Vec<OwnedFd>);

/// The packet that the transport makes of something.
fn taken(socket: &OwnedFd) -> Packet {
    let mut buffer = vec![0; MAX_FRAME];
    let (length, descriptors) = receive(socket.as_fd(), &mut buffer).unwrap();
    (buffer[..length].to_vec(), descriptors)
}

async fn encoded<Req, Resp>(sample: Sample<Req, Resp>) -> [Packet; 2]
where
    Req: Serialize + DeserializeOwned,
    Resp: Serialize + DeserializeOwned,
{
    let ((ours, theirs), (our_answers, their_answers)) = (packet_pair().unwrap(), packet_pair().unwrap());
    let context = context(RequestId(3), std::time::Duration::from_secs(60));
    let call = ClientMessage::Request(Request { context, id: ID, message: sample.request });
    connect::<Req, Resp>(ours).unwrap().send(call).await.unwrap();
    let reply = Response { request_id: ID, message: Ok(sample.reply) };
    accept::<Req, Resp>(our_answers).unwrap().send(reply).await.unwrap();
    [taken(&theirs), taken(&their_answers)]
}

/// What the transport understands, in words.
async fn understood<Req, Resp>(method: &str, [call, reply]: [Packet; 2]) -> [String; 2]
where
    Req: DeserializeOwned + Serialize + Debug,
    Resp: DeserializeOwned + Serialize + Debug,
{
    let ((ours, theirs), (our_answers, their_answers)) = (packet_pair().unwrap(), packet_pair().unwrap());
    send(ours.as_fd(), &call.0, &call.1).unwrap();
    send(our_answers.as_fd(), &reply.0, &reply.1).unwrap();
    let call = accept::<Req, Resp>(theirs).unwrap().next().await.unwrap();
    let ClientMessage::Request(request) = call.unwrap_or_else(|error| panic!("{method} request: {error}")) else {
        panic!("{method} is no request")
    };
    let reply = connect::<Req, Resp>(their_answers).unwrap().next().await.unwrap();
    let reply = reply.unwrap_or_else(|error| panic!("{method} reply: {error}"));
    assert_eq!((request.id, reply.request_id), (ID, ID), "{method}");
    [format!("{:?}", request.message), format!("{:?}", reply.message.unwrap())]
}

fn file(contract: &str) -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/frames").join(format!("{contract}.txt"))
}

/// By method and direction.
fn recorded(contract: &str) -> BTreeMap<(String, String), Vec<u8>> {
    let text = std::fs::read_to_string(file(contract)).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let (method, direction, hex) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let byte = |index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
        ((method, direction), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().map(line).collect()
}

/// Replays what was recorded: it must mean what the samples say.
async fn replay<Req, Resp>(contract: &str, samples: impl Fn() -> Vec<Sample<Req, Resp>>)
where
    Req: DeserializeOwned + Serialize + Debug,
    Resp: DeserializeOwned + Serialize + Debug,
{
    let recorded = recorded(contract);
    let count = samples().len();
    assert_eq!(
        recorded.len(),
        2 * count,
        "{contract}: frames are missing, or those of a method that is gone are there"
    );
    for sample in samples() {
        let method = sample.method;
        let meant = [format!("{:?}", sample.request), format!("{:?}", sample.reply)];
        let [(_, call_descriptors), (_, reply_descriptors)] = encoded(sample).await;
        let frame = |direction: &str| {
            let found = recorded.get(&(method.to_owned(), direction.to_owned())).cloned();
            found.unwrap_or_else(|| panic!("{contract}.{method}: no {direction} was recorded"))
        };
        let packets = [(frame("request"), call_descriptors), (frame("reply"), reply_descriptors)];
        assert_eq!(understood::<Req, Resp>(method, packets).await, meant, "{contract}.{method}");
    }
}

/// Adds the frames of methods that have none.
async fn record<Req, Resp>(contract: &str, samples: Vec<Sample<Req, Resp>>)
where
    Req: DeserializeOwned + Serialize + Debug,
    Resp: DeserializeOwned + Serialize + Debug,
{
    let known = recorded(contract);
    let mut text = std::fs::read_to_string(file(contract)).unwrap_or_default();
    for sample in samples {
        let method = sample.method;
        for (direction, (bytes, _)) in ["request", "reply"].into_iter().zip(encoded(sample).await) {
            if !known.contains_key(&(method.to_owned(), direction.to_owned())) {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                text.push_str(&format!("{method} {direction} {hex}\n"));
            }
        }
    }
    std::fs::write(file(contract), text).unwrap();
}

macro_rules! every_contract {
    ($verb:ident, |$samples:ident| $argument:expr) => {{
        macro_rules! one {
            ($contract:literal, $list:path) => {{
                let $samples = $list;
                $verb($contract, $argument).await;
            }};
        }
        one!("v1/lifecycle", samples::lifecycle);
        one!("v1/host", samples::host);
        one!("v1/storage", samples::storage);
        one!("v1/network", samples::network);
        one!("v1/instance", samples::instance);
        one!("v1/image", samples::image);
        one!("v2/lifecycle", samples::lifecycle_of_version_two);
    }};
}

#[tokio::test]
async fn what_every_version_wrote_is_understood() {
    every_contract!(replay, |samples| samples);
}

#[tokio::test]
#[ignore = "writes into the source tree"]
async fn record_new_methods() {
    every_contract!(record, |samples| samples());
}
