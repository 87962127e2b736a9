//! Where a client stands, for an app to show.

use std::time::Instant;

use crate::Cause;

/// Where a client stands, and why; see [`Client::watch_status`](crate::Client::watch_status).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The connection to the server.
    pub connection: Connection,
    /// Why the newest tokens aren't in the token store yet. Until they are, the earlier ones stay
    /// in use; the client tries to keep them again by itself.
    pub unsaved: Option<Cause>,
}

/// The connection to the server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Connection {
    /// Signing in, or opening the connection.
    Connecting,
    /// Connected: messages are sent and arrive. What was missed is being learned.
    Syncing,
    /// Connected, and nothing is missing.
    Online,
    /// Not connected. The client tries again by itself.
    Offline {
        /// Why.
        cause: Cause,
        /// When it tries next.
        next_attempt: Option<Instant>,
    },
    /// For good: the server refuses the user's tokens and credentials, or there are none. The
    /// token store is left as it is. To sign in again make another client; to sign in as another
    /// user clear the store first.
    SignedOut {
        /// Why.
        cause: Cause,
    },
    /// For good: another connection of the same device took the place of this one.
    Replaced,
    /// For good: the app closed the client.
    Closed,
}

impl Connection {
    /// Whether it stays so.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::SignedOut { .. } | Self::Replaced | Self::Closed)
    }
}
