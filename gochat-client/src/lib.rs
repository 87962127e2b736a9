//! The GoChat client SDK: connect, send, receive, sync.
//!
//! ```no_run
//! use gochat_client::{Client, Credentials, Event, Item, WORLD};
//!
//! # async fn run() -> Result<(), gochat_client::Error> {
//! let (client, mut events) = Client::connect("http://127.0.0.1:8080", Credentials::guest()).await?;
//! let ack = client.send(WORLD, "hello, world").await?;
//! println!("sent as number {}", ack.seq_id);
//! while let Some(item) = events.next().await {
//!     if let Item::Event(Event::Message(message)) = item {
//!         println!("{}: {}", message.sender_id, message.content);
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! What it takes care of:
//!
//! * A message handed to [`Client::send`] keeps one id through every repetition, so it is never
//!   lost and never doubled, whatever happens to the network.
//! * [`Event::Message`] brings the messages of a conversation in order, each once: gaps are
//!   found by sequence number and fetched.
//! * [`Event::MessageChanged`] brings what became of them, also while the client was away: edits,
//!   recalls, reactions, pins. Apply it with [`Message::apply`], and to messages that quote the
//!   changed one with [`Message::apply_to_quote`]. Every client ends with the same state of every
//!   message.
//! * Messages answer others, name users and are passed on: [`Client::text`], [`Message::reply_to`],
//!   [`Message::mentions`], [`Api::forward`](api::Api::forward). A quote shows what was told of the
//!   quoted message, whatever the push knew.
//! * Tokens are renewed, connections are made again (1, 2, 4, 8, 15, 30 s).
//!
//! The rules are those of `gochat_core::sync`; this crate adds sockets and a clock. A
//! [`Client`] is a cheap handle: clone it freely. When the last one is dropped, the
//! connection is closed.
//!
//! Addresses are `https://host`, with a port and a path before `/api` and `/ws` if need be. TLS is
//! rustls and trusts what the system trusts; [`TlsOptions`] adds other authorities and a client
//! certificate. HTTP proxies are taken from the environment or set by [`Builder::proxy`].
//!
//! An app that must stay signed in gives a [`TokenStore`], such as [`FileTokenStore`]: every new
//! pair of tokens is durable there before it is used. [`Builder::start`] gives a handle at once,
//! also while the server can't be reached; [`Client::watch_status`] tells where it stands and why.
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `tls` | yes | `https` and `wss`; without it such addresses are refused with [`ErrorKind::TlsNotBuilt`] |
//!
//! Deliberately absent: storage of messages. Use [`Builder::resume`] to go on where an earlier
//! process left.
#![forbid(unsafe_code)]

mod address;
pub mod api;
mod builder;
mod client;
mod credentials;
mod driver;
mod error;
mod events;
mod http;
mod net;
pub mod proof;
mod status;
mod tokens;

pub use address::UrlProblem;
pub use async_trait::async_trait;
pub use builder::Builder;
pub use client::{Client, Sending, Sent};
pub use credentials::Credentials;
pub use error::{Cause, Error, ErrorKind, Result};
pub use events::{Events, Item};
pub use gochat_core::error::{Error as Refusal, ErrorCode};
pub use gochat_core::ids::{ConversationId, MessageId, RequestId, Rev, SeqId, UserId};
pub use gochat_core::message::{Entrance, QuoteState, Refers, SystemMessage};
pub use gochat_core::sync::{
    Changed, Event, ForwardedFrom, Message, Outgoing, Quote, Reaction, State,
};
pub use net::Proxy;
#[cfg(feature = "tls")]
pub use net::TlsOptions;
pub use status::{Connection, Status};
#[cfg(not(target_arch = "wasm32"))]
pub use tokens::FileTokenStore;
pub use tokens::{MemoryTokenStore, StoreError, StoredSession, TokenStore};

/// The conversation everybody is in.
pub const WORLD: ConversationId = ConversationId::World;
