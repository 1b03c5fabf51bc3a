//! A peer that does not read makes its caller wait, and loses nothing.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hull_plugin::tarpc::{ClientMessage, Request, context};
use hull_wire::{ClientTransport, ServerTransport};

/// More than a socket's buffer holds.
const CALLS: u64 = 100;
const BODY: usize = 32 * 1024;

#[tokio::test]
async fn a_full_socket_is_waited_for() {
    let (ours, theirs) = hull_sys::message::packet_pair().unwrap();
    let mut caller: ClientTransport<Vec<u8>, ()> = hull_wire::connect(ours).unwrap();
    let mut server: ServerTransport<Vec<u8>, ()> = hull_wire::accept(theirs).unwrap();
    let sending = tokio::spawn(async move {
        for id in 0..CALLS {
            let message = vec![0x5a; BODY];
            caller.send(ClientMessage::Request(Request { context: context::current(), id, message })).await.unwrap();
        }
        caller
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sending.is_finished(), "{CALLS} calls went into a socket that nobody reads");
    for expected in 0..CALLS {
        match server.next().await.unwrap().unwrap() {
            ClientMessage::Request(Request { id, message, .. }) => {
                assert_eq!((id, message.len()), (expected, BODY));
            }
            other => panic!("{other:?} instead of a request"),
        }
    }
    drop(sending.await.unwrap());
    assert!(server.next().await.is_none());
}
