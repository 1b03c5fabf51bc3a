//! Frames as bytes, without I/O.

/// RFC 6455 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The client broke the protocol; the number is the code to close with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("websocket closed with code {0}")]
pub(crate) struct Violation(pub(crate) u16);

pub(crate) const NORMAL: u16 = 1000;
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
pub(crate) const NOT_UTF8: u16 = 1007;
pub(crate) const TOO_BIG: u16 = 1009;

/// The start of a frame from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: Opcode,
    pub(crate) position: Position,
    pub(crate) mask: [u8; 4],
    pub(crate) length: u64,
    /// The bytes of the header itself.
    pub(crate) size: usize,
}

/// Whether a frame ends its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Last,
    MoreFollow,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// Reads the header of a client's frame; `None`: not all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation(PROTOCOL_ERROR))?;
    let position = if first & 0x80 == 0 { Position::MoreFollow } else { Position::Last };
    let (short, masked) = (second & 0x7f, second & 0x80 != 0);
    let malformed_control = opcode.is_control() && (position == Position::MoreFollow || short > 125);
    // Reserved bits belong to extensions, of which none was agreed on; clients must mask.
    if first & 0x70 != 0 || !masked || malformed_control {
        return Err(Violation(PROTOCOL_ERROR));
    }
    let (length, rest, size) = match short {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 8),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 14),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 6),
    };
    if length >> 63 != 0 {
        return Err(Violation(PROTOCOL_ERROR));
    }
    Ok(rest.first_chunk().map(|mask| Header { opcode, position, mask: *mask, length, size }))
}

/// The header of a frame to a client: whole messages, not masked.
pub(crate) fn header(opcode: Opcode, length: usize) -> Encoded {
    let mut bytes = [0; 10];
    bytes[0] = 0x80 | opcode.bits();
    let size = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            bytes[1] = short;
            2
        }
        (_, Ok(medium)) => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    Encoded { bytes, size }
}

/// A frame's header as sent.
pub(crate) struct Encoded {
    bytes: [u8; 10],
    size: usize,
}

impl Encoded {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// Takes the mask off `data`, which starts `offset` bytes into its frame.
pub(crate) fn unmask(data: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut turned = mask;
    turned.rotate_left((offset % 4) as usize);
    let key = u32::from_ne_bytes(turned);
    let wide = u64::from(key) << 32 | u64::from(key);
    let (words, tail) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unmasking_in_pieces_is_unmasking_by_bytes(
            data in prop::collection::vec(any::<u8>(), 0..200), mask: [u8; 4], cut in 0usize..200,
        ) {
            let expected: Vec<u8> = data.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
            let mut pieces = data.clone();
            let (first, second) = pieces.split_at_mut(cut.min(data.len()));
            unmask(first, mask, 0);
            unmask(second, mask, first.len() as u64);
            prop_assert_eq!(pieces, expected);
        }

        #[test]
        fn what_a_client_writes_is_read_back(length in prop_oneof![0u64..200, 65_000u64..66_000, 0..u64::MAX >> 1], mask: [u8; 4]) {
            let encoded = header(Opcode::Binary, length as usize);
            let mut bytes = encoded.as_bytes().to_vec();
            bytes[1] |= 0x80;
            bytes.extend(mask);
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Ok(None));
            }
            let size = bytes.len();
            let expected = Header { opcode: Opcode::Binary, position: Position::Last, mask, length, size };
            prop_assert_eq!(parse(&bytes), Ok(Some(expected)));
        }

        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn violations_are_named() {
        for bytes in [[0x82, 0x01], [0xc2, 0x81], [0x83, 0x81], [0x09, 0x81], [0x89, 0xfe]] {
            assert_eq!(parse(&bytes), Err(Violation(PROTOCOL_ERROR)), "{bytes:x?}");
        }
    }
}
