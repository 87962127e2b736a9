//! How to connect.

use std::time::Duration;

use gochat_core::ids::{ConversationId, Rev, SeqId};
use gochat_core::sync::Options;

/// Settings of a [`Client`](crate::Client); the defaults suit an interactive app.
///
/// ```
/// use std::time::Duration;
/// use gochat_client::{ConnectOptions, WORLD};
/// let options = ConnectOptions::default()
///     .device("laptop")
///     .initial_history(0)
///     .resume(WORLD, 41, 57)
///     .connect_timeout(Duration::from_secs(5));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub(crate) session: Options,
    pub(crate) device: Option<String>,
    pub(crate) resume: Vec<(ConversationId, SeqId, Rev)>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) event_capacity: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            session: Options::default(),
            device: None,
            resume: Vec::new(),
            connect_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            event_capacity: 4096,
        }
    }
}

impl ConnectOptions {
    /// Names this device. A new connection of the same device replaces the older one, so two
    /// clients that run at the same time need two names. Default: a random one per client.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// How many messages from before the first sight of a conversation to load. Default 50.
    pub const fn initial_history(mut self, messages: u64) -> Self {
        self.session.initial_history = messages;
        self
    }

    /// Goes on where an earlier client left, by its last
    /// [`Event::Progress`](crate::Event::Progress): messages of `conversation` after `seq` are
    /// loaded, and what became of earlier ones after `rev` is told. With a `rev` of 0 it is told
    /// from now on.
    pub fn resume(mut self, conversation: ConversationId, seq: SeqId, rev: Rev) -> Self {
        self.resume.push((conversation, seq, rev));
        self
    }

    /// How long [`Client::connect`](crate::Client::connect) may take. Default 30 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one HTTP request or handshake may take. Default 30 s.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Events kept for a receiver that is busy; beyond that it gets
    /// [`Item::Lagged`](crate::Item::Lagged). Default 4096.
    pub const fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// Most messages that may wait for their acknowledgement. Default 1000.
    pub const fn outbox_capacity(mut self, messages: usize) -> Self {
        self.session.outbox.capacity = messages;
        self
    }
}
