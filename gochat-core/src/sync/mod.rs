//! The client side, without a socket: what to send again, what to fetch, when to reconnect.
//!
//! * [`Outbox`]: messages on their way; each keeps one client id for ever, so the server can
//!   recognise a repetition.
//! * [`Timeline`]: the messages of one conversation; finds gaps by sequence number and says what
//!   to fetch.
//! * [`Revisions`]: their changes, by the number that messages and changes share.
//! * [`Backoff`]: how long to wait before the next try.
//! * [`ClientSession`]: all of it together, driven by `handle_*` and asked by `poll_*`.
//!
//! Times are milliseconds counted from any fixed moment and passed in. Randomness (for
//! jitter) is a seed passed in. So two machines in a test can live in virtual time.

mod attempts;
mod backoff;
mod message;
mod outbox;
mod quote;
mod revisions;
mod session;
#[cfg(test)]
mod tests;
mod timeline;

pub use backoff::Backoff;
pub use message::{Message, Outgoing, Reaction};
pub use outbox::{Outbox, OutboxFull, OutboxLimits, Settled};
pub use quote::{ForwardedFrom, Quote};
pub use revisions::Revisions;
pub use session::{
    Action, AuthFailure, Changed, ChangesPage, ClientSession, ConnectFailure, Event, HistoryPage,
    Listed, ListedConversation, Options, State,
};
pub use timeline::{Fetch, Timeline};

/// Milliseconds from a moment the caller chose; must not run backwards.
pub type Millis = u64;
