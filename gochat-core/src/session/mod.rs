//! The server side of one connection, without the socket.
//!
//! * [`wire`]: RFC 6455 frames over buffers the caller owns; complete messages out.
//! * [`frame`]: the JSON inside: what clients send, what the server answers.
//! * [`machine`]: the limits and the heartbeat of a connection, in a few bytes.
//!
//! The caller reads bytes, asks [`wire::Decoder`] for messages, parses text messages with
//! [`frame::ClientFrame::parse`], asks [`machine::ServerSession`] whether to accept them, and
//! writes what the [`frame`] and [`wire`] encoders produce.

pub mod frame;
pub mod machine;
pub mod wire;
