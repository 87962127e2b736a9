//! The first bytes of a frame.

use super::WireError;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text, or the first part of it.
    Text = 0x1,
    /// Bytes, or the first part of them.
    Binary = 0x2,
    /// Closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or a sign of life nobody asked for.
    Pong = 0xA,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping and pong: short, never fragmented, allowed between fragments.
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }
}

/// A client frame's header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    /// Bytes before the payload.
    pub(super) len: usize,
    /// Bytes of payload.
    pub(super) payload: u64,
}

/// Longest payload of a control frame.
pub(super) const MAX_CONTROL: u64 = 125;

impl Header {
    /// Parses a header. `Ok(Err(n))`: at least `n` bytes are needed to go on.
    pub(super) fn parse(buf: &[u8]) -> Result<Result<Self, usize>, WireError> {
        let &[first, second, ..] = buf else {
            return Ok(Err(2));
        };
        if first & 0x70 != 0 {
            return Err(WireError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(WireError::UnknownOpcode)?;
        if second & 0x80 == 0 {
            return Err(WireError::Unmasked);
        }
        let fin = first & 0x80 != 0;
        let short = second & 0x7F;
        if opcode.is_control() && (!fin || u64::from(short) > MAX_CONTROL) {
            return Err(WireError::BadControlFrame);
        }
        let len = match short {
            126 => 8,
            127 => 14,
            _ => 6,
        };
        if buf.len() < len {
            return Ok(Err(len));
        }
        let payload = match short {
            126 => u64::from(u16::from_be_bytes([buf[2], buf[3]])),
            127 => u64::from_be_bytes([
                buf[2], buf[3], buf[4], buf[5], buf[6], buf[7], buf[8], buf[9],
            ]),
            n => u64::from(n),
        };
        // The shortest form is the only legal one, and the top bit must be clear.
        let minimal = match short {
            126 => payload > 125,
            127 => payload > 0xFFFF && payload >> 63 == 0,
            _ => true,
        };
        if !minimal {
            return Err(WireError::BadLength);
        }
        let mask = [buf[len - 4], buf[len - 3], buf[len - 2], buf[len - 1]];
        Ok(Ok(Self {
            fin,
            opcode,
            mask,
            len,
            payload,
        }))
    }
}
