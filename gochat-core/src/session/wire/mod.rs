//! WebSocket frames (RFC 6455), the server's half, without I/O.
//!
//! The caller owns the bytes: it reads from the socket into any buffer (one per thread is
//! enough), hands the filled part to [`Decoder::decode`] until it answers
//! [`Item::Incomplete`], and keeps only the bytes that were not consumed. A connection that
//! is idle between frames therefore keeps no buffer at all, and its [`Decoder`] is one pointer.
//!
//! What is deliberately absent: extensions (no reserved bit is ever legal) and streaming of
//! parts of a message (messages are complete and bounded).
//!
//! ```
//! use gochat_core::session::wire::{Decoder, Item, Limits, Message};
//!
//! let mut decoder = Decoder::new();
//! // A masked text frame "Hi" followed by the first byte of the next frame.
//! let mut bytes = [0x81, 0x82, 1, 2, 3, 4, b'H' ^ 1, b'i' ^ 2, 0x81];
//! let decoded = decoder.decode(&Limits::default(), &mut bytes).unwrap();
//! assert_eq!(decoded.item, Item::Message(Message::Text("Hi".into())));
//! let rest = &mut bytes[8..];
//! let decoded = decoder.decode(&Limits::default(), rest).unwrap();
//! assert_eq!((decoded.consumed, decoded.item), (0, Item::Incomplete { need: 2 }));
//! ```

mod decode;
mod encode;
mod header;
mod mask;
#[cfg(test)]
mod tests;

pub use decode::{CloseFrame, Decoded, Decoder, Item, Limits, Message, WireError};
pub use encode::{ControlFrame, MAX_HEADER, close, encode_header, encode_text, ping, pong};
pub use header::Opcode;
