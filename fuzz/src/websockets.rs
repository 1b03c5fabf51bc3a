//! Websocket frames from a client.

use hull_gateway::fuzzing::websocket;

/// A byte for the size of the pieces in which the rest arrives.
pub fn websockets(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let (content, pings) = websocket(stream, usize::MAX);
    assert!(content.len() <= stream.len() && pings.iter().all(|ping| ping.len() <= 125));
    assert_eq!(websocket(stream, usize::from(*piece)), (content, pings));
}
