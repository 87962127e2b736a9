//! The least framing and JSON a generator needs: it shares the machine with the server.

use std::io::Write as _;

/// What every message of a benchmark carries, in its client id and at the start of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which run.
    pub(super) run: u64,
    /// Which conversation of the run.
    pub(super) conversation: u32,
    /// Which message of the sender.
    pub(super) number: u64,
    /// When it was to be sent, in microseconds of Unix time.
    pub(super) intended: u64,
}

impl Mark {
    /// Appends `~run;conversation;number;intended;`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self {
            run,
            conversation,
            number,
            intended,
        } = self;
        write!(out, "~{run};{conversation};{number};{intended};")
            .expect("writing to memory can't fail");
    }

    /// Finds the first mark in a frame.
    pub(super) fn find(frame: &[u8]) -> Option<Self> {
        let at = frame.iter().position(|&b| b == b'~')?;
        let mut numbers = frame[at + 1..].split(|&b| b == b';').map(number);
        Some(Self {
            run: numbers.next()??,
            conversation: u32::try_from(numbers.next()??).ok()?,
            number: numbers.next()??,
            intended: numbers.next()??,
        })
    }
}

/// What a text frame is to a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NewMessage,
    Ack,
    ChangeAck,
    Error,
    Other,
}

/// Looks at the `type`.
pub(super) fn kind(frame: &[u8]) -> Kind {
    // Servers write `type` first; anything else is found by searching.
    let rest = match frame.strip_prefix(b"{\"type\":\"") {
        Some(rest) => rest,
        None => match find(frame, b"\"type\":\"") {
            Some(at) => &frame[at + 8..],
            None => return Kind::Other,
        },
    };
    if rest.starts_with(b"new-message\"") {
        Kind::NewMessage
    } else if rest.starts_with(b"message-ack\"") {
        Kind::Ack
    } else if rest.starts_with(b"change-ack\"") {
        Kind::ChangeAck
    } else if rest.starts_with(b"error\"") {
        Kind::Error
    } else {
        Kind::Other
    }
}

/// The `seqId`.
pub(super) fn seq(frame: &[u8]) -> Option<u64> {
    let at = find(frame, b"\"seqId\":")? + 8;
    let end = frame[at..].iter().position(|b| !b.is_ascii_digit())?;
    number(&frame[at..at + end])
}

/// The `code` of an error frame.
pub(super) fn code(frame: &[u8]) -> Option<&str> {
    text(frame, b"\"code\":\"")
}

/// The `messageId` of an acknowledgement.
pub(super) fn message_id(frame: &[u8]) -> Option<&str> {
    text(frame, b"\"messageId\":\"")
}

/// The text behind `before`, up to the next quotation mark.
fn text<'f>(frame: &'f [u8], before: &[u8]) -> Option<&'f str> {
    let at = find(frame, before)? + before.len();
    let end = frame[at..].iter().position(|&b| b == b'"')?;
    std::str::from_utf8(&frame[at..at + end]).ok()
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
    })
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|&b| b == needle[0]) {
        if hay[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The first server frame of `bytes`: opcode, payload and the bytes it takes. `None` while incomplete.
pub(crate) fn next(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, second], _) = bytes.split_first_chunk()?;
    let (start, len): (usize, usize) = match second & 0x7F {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?)),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)).ok()?,
        ),
        n => (2, usize::from(n)),
    };
    let end = start.checked_add(len)?;
    Some((first & 0x0F, bytes.get(start..end)?, end))
}

/// Appends a client frame. The masking key is zero: legal, and there is nothing to compute.
pub(crate) fn push(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        run: 7,
        conversation: 3,
        number: 12,
        intended: 1_700_000_000_000_000,
    };

    #[test]
    fn a_mark_is_found_in_what_the_server_sends() {
        let mut mark = Vec::new();
        MARK.write(&mut mark);
        let mark = String::from_utf8(mark).unwrap();
        let frame = format!(
            r#"{{"type":"new-message","data":{{"content":"{mark}xxx","seqId":42,"clientMsgId":"{mark}"}},"timestamp":1}}"#
        );
        let frame = frame.as_bytes();
        assert_eq!(Mark::find(frame), Some(MARK));
        assert_eq!((kind(frame), seq(frame)), (Kind::NewMessage, Some(42)));
        assert_eq!(Mark::find(b"no mark ~1;2"), None);
    }

    #[test]
    fn kinds_are_told_apart_wherever_the_type_stands() {
        assert_eq!(kind(br#"{"timestamp":1,"type":"message-ack"}"#), Kind::Ack);
        let error = br#"{"type":"error","data":{"code":"RATE_LIMITED"}}"#;
        assert_eq!(
            (kind(error), code(error)),
            (Kind::Error, Some("RATE_LIMITED"))
        );
        let ack = br#"{"type":"change-ack","data":{"messageId":"17"}}"#;
        assert_eq!((kind(ack), message_id(ack)), (Kind::ChangeAck, Some("17")));
        assert_eq!(kind(br#"{"type":"pong"}"#), Kind::Other);
    }

    #[test]
    fn what_a_server_reads_is_what_was_pushed() {
        use gochat_core::session::wire::{Decoder, Item, Limits, Message};
        for len in [0, 125, 126, 70_000] {
            let payload = vec![b'x'; len];
            let mut out = Vec::new();
            push(1, &payload, &mut out);
            let decoded = Decoder::new().decode(&Limits::default(), &mut out).unwrap();
            let Item::Message(Message::Text(text)) = decoded.item else {
                panic!("{len}")
            };
            assert_eq!(text.len(), len);
        }
    }

    #[test]
    fn server_frames_are_cut_where_they_end() {
        use gochat_core::session::wire::encode_text;
        let mut bytes = Vec::new();
        encode_text(&[b'a'; 300], &mut bytes);
        encode_text(b"b", &mut bytes);
        assert_eq!(next(&bytes[..200]), None);
        let (opcode, payload, used) = next(&bytes).unwrap();
        assert_eq!((opcode, payload.len(), used), (1, 300, 304));
        assert_eq!(next(&bytes[used..]), Some((1, &b"b"[..], 3)));
    }
}
