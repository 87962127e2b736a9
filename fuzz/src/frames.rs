//! The decoder of WebSocket frames: any bytes, in any pieces, end in messages or in one error.

use gochat_core::session::wire::{Decoder, Item, Limits};

/// Decodes the bytes at once and byte by byte; both ways give the same number of messages, or an
/// error.
pub(crate) fn run(bytes: &[u8]) {
    let whole = messages(bytes, bytes.len().max(1));
    let pieces = messages(bytes, 1);
    assert_eq!(
        whole, pieces,
        "the pieces in which bytes come must not matter"
    );
}

/// How many messages came, and whether an error ended the stream.
fn messages(bytes: &[u8], piece: usize) -> (usize, bool) {
    let (limits, mut decoder) = (Limits::default(), Decoder::new());
    let (mut buffer, mut count) = (Vec::new(), 0);
    for part in bytes.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            let (consumed, is_message) = match decoder.decode(&limits, &mut buffer) {
                Err(_) => return (count, true),
                Ok(decoded) => (decoded.consumed, matches!(decoded.item, Item::Message(_))),
            };
            assert!(consumed <= buffer.len());
            buffer.drain(..consumed);
            count += usize::from(is_message);
            if consumed == 0 {
                break;
            }
        }
    }
    (count, false)
}
