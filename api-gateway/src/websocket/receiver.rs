//! What a client sends, frame by frame, from the bytes received; frames may be larger than memory.

use crate::connection::Inbox;
use crate::websocket::frame::{self, Header, NORMAL, Opcode, PROTOCOL_ERROR, Position, Violation};

/// Where in its frames and messages the client is.
#[derive(Default)]
pub(crate) struct Receiver {
    /// A data frame whose content is not all received, and how much is.
    frame: Option<(Header, u64)>,
    message: Option<Message>,
}

#[derive(Clone, Copy)]
struct Message {
    kind: Opcode,
    length: u64,
}

/// The next thing in the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// More must arrive first.
    More,
    /// This many bytes at the start of the inbox are content, unmasked; consume them. `ended`: a whole message with them.
    Content {
        length: usize,
        ended: Option<Ended>,
    },
    Ping(Vec<u8>),
    Close(u16),
}

/// A message is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) kind: Opcode,
    pub(crate) length: u64,
}

impl Receiver {
    pub(crate) fn next(&mut self, inbox: &mut Inbox) -> Result<Received, Violation> {
        loop {
            if let Some((header, received)) = self.frame {
                return Ok(self.content(header, received, inbox));
            }
            let Some(header) = frame::parse(inbox.filled())? else { return Ok(Received::More) };
            if !header.opcode.is_control() {
                self.begin(header)?;
                inbox.consume(header.size);
                continue;
            }
            let end = header.size + header.length as usize; // at most 125
            if inbox.filled().len() < end {
                return Ok(Received::More);
            }
            let mut content = inbox.filled()[header.size..end].to_vec();
            frame::unmask(&mut content, header.mask, 0);
            inbox.consume(end);
            match header.opcode {
                Opcode::Ping => return Ok(Received::Ping(content)),
                Opcode::Close => return close_code(&content).map(Received::Close),
                _ => {}
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let message = match (self.message, header.opcode) {
            (Some(message), Opcode::Continuation) => message,
            (None, kind @ (Opcode::Text | Opcode::Binary)) => Message { kind, length: 0 },
            _ => return Err(Violation(PROTOCOL_ERROR)),
        };
        let length = message.length.checked_add(header.length).ok_or(Violation(PROTOCOL_ERROR))?;
        self.message = Some(Message { length, ..message });
        self.frame = Some((header, 0));
        Ok(())
    }

    fn content(&mut self, header: Header, received: u64, inbox: &mut Inbox) -> Received {
        let left = header.length - received;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(inbox.filled().len());
        if length == 0 && left > 0 {
            return Received::More;
        }
        frame::unmask(&mut inbox.filled_mut()[..length], header.mask, received);
        let mut ended = None;
        if length as u64 == left {
            self.frame = None;
            if header.position == Position::Last {
                ended = self.message.take().map(|message| Ended { kind: message.kind, length: message.length });
            }
        } else {
            self.frame = Some((header, received + length as u64));
        }
        Received::Content { length, ended }
    }
}

/// The code to answer a close with.
fn close_code(content: &[u8]) -> Result<u16, Violation> {
    match content {
        [] => Ok(NORMAL),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) if std::str::from_utf8(reason).is_ok() => Ok(code),
            _ => Err(Violation(PROTOCOL_ERROR)),
        },
        [_] => Err(Violation(PROTOCOL_ERROR)),
    }
}
