//! Where a request's body begins and ends in the bytes received.

use crate::connection::head::Framing;
use crate::failure::Refusal;

/// The longest line of a chunk's size with its extensions, and of one trailer.
const MAX_LINE: usize = 4096;
/// The most bytes of all trailers.
const MAX_TRAILERS: usize = 16 * 1024;

/// How far a body has been read.
#[derive(Debug)]
pub(crate) struct Body(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers { left: usize },
    Done,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many bytes belong to the framing: use them up.
    Framing(usize),
    /// Up to this many bytes of content follow: use some and say so ([`Body::consumed`]).
    Content(usize),
    /// More must arrive first.
    More,
    End,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
        })
    }

    /// How much content follows for certain without framing in between.
    pub(crate) fn contiguous(&self) -> u64 {
        match self.0 {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        }
    }

    /// How much there is to come, if known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0 == State::Done
    }

    /// Looks at what has arrived.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        match self.0 {
            State::Done => Ok(Step::End),
            _ if bytes.is_empty() => Ok(Step::More),
            State::Length(left) | State::Chunk(left) => {
                Ok(Step::Content(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())))
            }
            State::ChunkSize => match line(bytes)? {
                None => Ok(Step::More),
                Some(line) => {
                    let size = chunk_size(line)?;
                    self.0 = if size == 0 { State::Trailers { left: MAX_TRAILERS } } else { State::Chunk(size) };
                    Ok(Step::Framing(line.len() + 2))
                }
            },
            State::ChunkEnd if bytes.len() == 1 && bytes[0] == b'\r' => Ok(Step::More),
            State::ChunkEnd if bytes.starts_with(b"\r\n") => {
                self.0 = State::ChunkSize;
                Ok(Step::Framing(2))
            }
            State::ChunkEnd => Err(Refusal::bad("a chunk of the body is longer than it says")),
            State::Trailers { left } => match line(bytes)? {
                None => Ok(Step::More),
                Some(line) => {
                    let length = line.len() + 2;
                    self.0 = match left.checked_sub(length) {
                        _ if line.is_empty() => State::Done,
                        Some(left) => State::Trailers { left },
                        None => return Err(Refusal::new(431, "the trailers of the body are too large")),
                    };
                    Ok(Step::Framing(length))
                }
            },
        }
    }

    /// `length` bytes of content were used.
    pub(crate) fn consumed(&mut self, length: usize) {
        self.0 = match self.0 {
            State::Length(left) if left <= length as u64 => State::Done,
            State::Length(left) => State::Length(left - length as u64),
            State::Chunk(left) if left <= length as u64 => State::ChunkEnd,
            State::Chunk(left) => State::Chunk(left - length as u64),
            other => other,
        };
    }
}

/// A line without its CRLF. A bare line feed is refused: others might not see a line end there.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    match bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err(Refusal::bad("a line of the chunked body does not end with CR LF")),
        None if bytes.len() >= MAX_LINE => Err(Refusal::bad("a line of the chunked body is too long")),
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest_is_extension = matches!(line.get(digits), None | Some(b';' | b' ' | b'\t'));
    let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
    match u64::from_str_radix(text, 16) {
        Ok(size) if digits <= 16 && rest_is_extension => Ok(size),
        _ => Err(Refusal::bad("the size of a chunk of the body is not a hexadecimal number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `wire` in pieces and returns the content and what is left after the end.
    fn decode(wire: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let (mut body, mut inbox, mut content) = (Body::new(Framing::Chunked), Vec::new(), Vec::new());
        let (mut sizes, mut rest) = (pieces.iter().cycle(), wire);
        loop {
            match body.step(&inbox)? {
                Step::Framing(length) => drop(inbox.drain(..length)),
                Step::Content(length) => {
                    content.extend(inbox.drain(..length));
                    body.consumed(length);
                }
                Step::More if rest.is_empty() => return Err(Refusal::bad("truncated")),
                Step::More => {
                    let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
                    inbox.extend(now);
                    rest = later;
                }
                Step::End => return Ok((content, [&inbox, rest].concat())),
            }
        }
    }

    proptest! {
        #[test]
        fn chunks_arrive_as_sent(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
            pieces in prop::collection::vec(1usize..100, 1..8),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:X};name=value\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\nTrailer: x\r\n\r\nGET /next");
            prop_assert_eq!(decode(&wire, &pieces).unwrap(), (chunks.concat(), b"GET /next".to_vec()));
        }

        #[test]
        fn no_bytes_break_the_decoder(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&wire, &[7]);
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in ["x\r\n", "-1\r\n", "\r\n", "1\nab", "1\r\nabc\r\n", "11111111111111111\r\n", "1 \n"] {
            assert_eq!(decode(wire.as_bytes(), &[100]).unwrap_err().status, 400, "{wire:?}");
        }
    }
}
