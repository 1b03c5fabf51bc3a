//! As much of a frame as one needs to misbehave: which request, which method. The layout is `hull-wire`'s.

use bincode::config::{Configuration, Limit};

/// The largest frame that Hull accepts.
pub(crate) const MAX_FRAME: usize = 64 * 1024;

type Head = Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<{ MAX_FRAME }>>;
const CONFIG: Head = bincode::config::standard().with_limit::<{ MAX_FRAME }>();

/// The beginning of a request: kind of envelope, id, deadline, request id, method.
pub(crate) fn request(frame: &[u8]) -> Option<(u64, usize)> {
    let decoded = bincode::serde::decode_from_slice::<(u32, u64, u64, u128, u32), _>(frame, CONFIG);
    match decoded.ok()?.0 {
        (0, id, _, _, method) => Some((id, usize::try_from(method).ok()?)),
        _ => None,
    }
}

/// The id of an answer, its method if a handler gave it, and what follows the id.
pub(crate) fn answer(frame: &[u8]) -> Option<(u64, usize, &[u8])> {
    let ((kind, id), read) = bincode::serde::decode_from_slice::<(u32, u64), _>(frame, CONFIG).ok()?;
    let rest = frame.get(read..)?;
    match kind {
        0 => {
            let (method, _) = bincode::serde::decode_from_slice::<u32, _>(rest, CONFIG).ok()?;
            Some((id, usize::try_from(method).ok()?, rest))
        }
        1 => Some((id, 0, rest)),
        _ => None,
    }
}

/// An answer with this id and the rest of another.
pub(crate) fn answer_with(id: u64, rest: &[u8]) -> Vec<u8> {
    let mut frame = encoded(&(0u32, id));
    frame.extend_from_slice(rest);
    frame
}

/// An answer of a method that was not asked: `Ok` with nothing in it, as most methods return it.
pub(crate) fn answer_of(id: u64, method: u32) -> Vec<u8> {
    encoded(&(0u32, id, method, 0u32))
}

/// The answer that a handler failed.
pub(crate) fn failed(id: u64, detail: &str) -> Vec<u8> {
    encoded(&(1u32, id, detail))
}

/// The same, saying that its text is longer than the world.
pub(crate) fn failed_endlessly(id: u64) -> Vec<u8> {
    encoded(&(1u32, id, u64::MAX >> 2))
}

/// An upcall with one string as its argument.
pub(crate) fn upcall(id: u64, deadline_micros: u64, method: u32, argument: &str) -> Vec<u8> {
    encoded(&(0u32, id, deadline_micros, 0u128, method, argument))
}

/// `store(key, fd)`: the descriptor is the first of the frame.
pub(crate) fn store(id: u64, method: u32, key: &str) -> Vec<u8> {
    encoded(&(0u32, id, 10_000_000u64, 0u128, method, key, 0u32))
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Numbers and short texts: they always fit.
    bincode::serde::encode_to_vec(value, CONFIG).unwrap_or_default()
}
