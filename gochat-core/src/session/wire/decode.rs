//! Client frames in, complete messages out.

use std::borrow::Cow;

use super::Opcode;
use super::header::Header;
use super::mask::unmask;
use crate::session::machine::CloseCode;

/// What a connection may make the server hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message in bytes, all fragments together.
    pub max_message: usize,
    /// Most frames one message may be cut into. Stops a peer that drips empty fragments for ever.
    pub max_fragments: u32,
}

impl Default for Limits {
    /// 1 MiB in at most 1024 fragments.
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            max_fragments: 1024,
        }
    }
}

/// The peer broke the protocol or a limit. The connection can't go on: send a close frame
/// with [`close_code`](Self::close_code) and drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A reserved bit is set although no extension was agreed.
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode that RFC 6455 doesn't define.
    #[error("unknown opcode")]
    UnknownOpcode,
    /// Clients must mask every frame.
    #[error("the frame is not masked")]
    Unmasked,
    /// A control frame is fragmented or longer than 125 bytes.
    #[error("a control frame is fragmented or too long")]
    BadControlFrame,
    /// The length isn't in its shortest form.
    #[error("the payload length is badly encoded")]
    BadLength,
    /// A continuation without a start, or a new message inside a fragmented one.
    #[error("fragments are out of order")]
    BadFragment,
    /// Longer than [`Limits::max_message`].
    #[error("the message is too big")]
    TooBig,
    /// More parts than [`Limits::max_fragments`].
    #[error("the message has too many fragments")]
    TooManyFragments,
    /// A text message or close reason isn't UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A close frame of one byte, or with a code that may not be sent.
    #[error("the close frame is malformed")]
    BadClose,
}

impl WireError {
    /// The code to close the connection with.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TooBig => CloseCode::TooBig,
            Self::TooManyFragments => CloseCode::Policy,
            Self::NotUtf8 => CloseCode::InvalidData,
            _ => CloseCode::Protocol,
        }
    }
}

/// A complete message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'b> {
    /// UTF-8 text. Borrowed from the caller's buffer unless it came in fragments.
    Text(Cow<'b, str>),
    /// Bytes. Borrowed from the caller's buffer unless they came in fragments.
    Binary(Cow<'b, [u8]>),
    /// To be answered with a [`pong`](super::pong) of the same payload.
    Ping(&'b [u8]),
    /// A sign of life.
    Pong(&'b [u8]),
    /// The peer wants to close; nothing after it counts.
    Close(Option<CloseFrame<'b>>),
}

/// Code and reason of a close frame that has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseFrame<'b> {
    /// The peer's close code.
    pub code: u16,
    /// The peer's words; may be empty.
    pub reason: &'b str,
}

/// What [`Decoder::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'b> {
    /// Bytes of the buffer that are used up; the rest is to be presented again.
    pub consumed: usize,
    /// What they held.
    pub item: Item<'b>,
}

/// A message, or the wish for more bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'b> {
    /// A complete message.
    Message(Message<'b>),
    /// The unconsumed rest is the start of a frame that is at least `need` bytes long (bounded
    /// by the limits). The peer only *claims* this length: grow buffers as bytes arrive.
    Incomplete {
        /// Least number of bytes, counted from the first unconsumed one, to get further.
        need: usize,
    },
}

/// A fragmented message on its way; exists only while one is open.
#[derive(Debug)]
struct Assembly {
    text: bool,
    fragments: u32,
    bytes: Vec<u8>,
}

/// State of the receiving half of one connection. See the [module](super) for the loop.
#[derive(Debug, Default)]
pub struct Decoder {
    assembly: Option<Box<Assembly>>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new() -> Self {
        Self { assembly: None }
    }

    /// Bytes held for an unfinished fragmented message.
    pub fn held(&self) -> usize {
        self.assembly.as_ref().map_or(0, |a| a.bytes.capacity())
    }

    /// Takes the first message out of `buf`, unmasking in place.
    ///
    /// Call it again with the unconsumed rest until it says [`Item::Incomplete`]. Bytes of an
    /// incomplete frame are left untouched. After an error the stream is unusable.
    pub fn decode<'b>(
        &mut self,
        limits: &Limits,
        buf: &'b mut [u8],
    ) -> Result<Decoded<'b>, WireError> {
        let mut at = 0;
        loop {
            let header = match Header::parse(&buf[at..])? {
                Ok(header) => header,
                Err(need) => {
                    return Ok(Decoded {
                        consumed: at,
                        item: Item::Incomplete { need },
                    });
                }
            };
            let payload = self.admit(limits, &header)?;
            let (start, end) = (at + header.len, at + header.len + payload);
            if buf.len() < end {
                let need = header.len + payload;
                return Ok(Decoded {
                    consumed: at,
                    item: Item::Incomplete { need },
                });
            }
            unmask(&mut buf[start..end], header.mask);
            if header.opcode.is_control() {
                let message = control(header.opcode, &buf[start..end])?;
                return Ok(Decoded {
                    consumed: end,
                    item: Item::Message(message),
                });
            }
            if self.assembly.is_none() && header.fin {
                let message = whole(header.opcode, &buf[start..end])?;
                return Ok(Decoded {
                    consumed: end,
                    item: Item::Message(message),
                });
            }
            self.collect(&header, &buf[start..end]);
            if header.fin
                && let Some(assembly) = self.assembly.take()
            {
                let message = assembly.finish()?;
                return Ok(Decoded {
                    consumed: end,
                    item: Item::Message(message),
                });
            }
            at = end;
        }
    }

    /// Checks a header against the limits and the fragmentation state, before its payload is
    /// waited for; gives the payload length.
    fn admit(&self, limits: &Limits, header: &Header) -> Result<usize, WireError> {
        let payload = usize::try_from(header.payload).map_err(|_| WireError::TooBig)?;
        if header.opcode.is_control() {
            return Ok(payload);
        }
        let continues = header.opcode == Opcode::Continuation;
        if continues != self.assembly.is_some() {
            return Err(WireError::BadFragment);
        }
        let held = self.assembly.as_ref().map_or(0, |a| a.bytes.len());
        if held.saturating_add(payload) > limits.max_message {
            return Err(WireError::TooBig);
        }
        if self
            .assembly
            .as_ref()
            .is_some_and(|a| a.fragments >= limits.max_fragments)
        {
            return Err(WireError::TooManyFragments);
        }
        Ok(payload)
    }

    fn collect(&mut self, header: &Header, payload: &[u8]) {
        let assembly = self.assembly.get_or_insert_with(|| {
            let text = header.opcode == Opcode::Text;
            Box::new(Assembly {
                text,
                fragments: 0,
                bytes: Vec::new(),
            })
        });
        assembly.fragments += 1;
        assembly.bytes.extend_from_slice(payload);
    }
}

impl Assembly {
    fn finish(self) -> Result<Message<'static>, WireError> {
        if self.text {
            let text = String::from_utf8(self.bytes).map_err(|_| WireError::NotUtf8)?;
            Ok(Message::Text(Cow::Owned(text)))
        } else {
            Ok(Message::Binary(Cow::Owned(self.bytes)))
        }
    }
}

fn whole(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, WireError> {
    if opcode == Opcode::Text {
        let text = std::str::from_utf8(payload).map_err(|_| WireError::NotUtf8)?;
        Ok(Message::Text(Cow::Borrowed(text)))
    } else {
        Ok(Message::Binary(Cow::Borrowed(payload)))
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, WireError> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload)),
        Opcode::Pong => Ok(Message::Pong(payload)),
        _ => parse_close(payload).map(Message::Close),
    }
}

fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, WireError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(WireError::BadClose),
        [hi, lo, reason @ ..] => (u16::from_be_bytes([*hi, *lo]), reason),
    };
    // 1004-1006 and 1015 are reserved for local use and never travel.
    let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !sendable {
        return Err(WireError::BadClose);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WireError::NotUtf8)?;
    Ok(Some(CloseFrame { code, reason }))
}
