//! Server frames: never masked, never fragmented.

use super::Opcode;

/// Longest header of a server frame.
pub const MAX_HEADER: usize = 10;

/// Header of a complete server frame with `len` bytes of payload; the second value says how
/// many bytes of the array are used.
///
/// ```
/// use gochat_core::session::wire::{Opcode, encode_header};
/// let (bytes, used) = encode_header(Opcode::Text, 200);
/// assert_eq!(bytes[..used], [0x81, 126, 0, 200]);
/// ```
pub const fn encode_header(opcode: Opcode, len: usize) -> ([u8; MAX_HEADER], usize) {
    let mut out = [0u8; MAX_HEADER];
    out[0] = 0x80 | opcode as u8;
    if len <= 125 {
        out[1] = len as u8;
        return (out, 2);
    }
    let wide = (len as u64).to_be_bytes();
    let (marker, used, from) = if len <= 0xFFFF {
        (126, 4, 6)
    } else {
        (127, 10, 0)
    };
    out[1] = marker;
    let mut i = 2;
    while i < used {
        out[i] = wide[from + i - 2];
        i += 1;
    }
    (out, used)
}

/// Appends a complete text frame to `out`.
pub fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    let (header, used) = encode_header(Opcode::Text, text.len());
    out.reserve(used + text.len());
    out.extend_from_slice(&header[..used]);
    out.extend_from_slice(text);
}

/// A control frame ready to be written; lives on the stack.
#[derive(Clone, Copy)]
pub struct ControlFrame {
    bytes: [u8; 127],
    len: u8,
}

impl ControlFrame {
    /// `payload` is cut at 125 bytes, the most a control frame may carry.
    fn new(opcode: Opcode, parts: [&[u8]; 2]) -> Self {
        let mut bytes = [0u8; 127];
        let mut len = 2;
        for part in parts {
            let n = part.len().min(bytes.len() - len);
            bytes[len..len + n].copy_from_slice(&part[..n]);
            len += n;
        }
        bytes[0] = 0x80 | opcode as u8;
        bytes[1] = (len - 2) as u8;
        Self {
            bytes,
            len: len as u8,
        }
    }

    /// The frame's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ControlFrame")
            .field(&self.as_bytes())
            .finish()
    }
}

/// A close frame. The reason is cut at 123 bytes, on a character boundary.
pub fn close(code: u16, reason: &str) -> ControlFrame {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    ControlFrame::new(
        Opcode::Close,
        [&code.to_be_bytes(), &reason.as_bytes()[..end]],
    )
}

/// A ping frame; payloads beyond 125 bytes are cut.
pub fn ping(payload: &[u8]) -> ControlFrame {
    ControlFrame::new(Opcode::Ping, [payload, &[]])
}

/// A pong frame; it repeats the payload of the ping it answers.
pub fn pong(payload: &[u8]) -> ControlFrame {
    ControlFrame::new(Opcode::Pong, [payload, &[]])
}
