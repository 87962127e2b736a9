//! How to connect.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::ids::{ConversationId, Rev, SeqId};
use gochat_core::sync::Options;
use http::HeaderValue;

use crate::address::Endpoint;
use crate::api::Api;
use crate::http::Http;
#[cfg(feature = "tls")]
use crate::net::TlsOptions;
use crate::net::{Connector, NetOptions, Proxy};
use crate::tokens::{MemoryTokenStore, TokenStore, Tokens};
use crate::{Client, Credentials, Error, ErrorKind, Events, Result};

/// Settings of a [`Client`], made by [`Client::builder`]; the defaults suit an interactive app.
///
/// ```no_run
/// use std::time::Duration;
/// use gochat_client::{Client, Credentials, FileTokenStore};
///
/// # async fn run() -> gochat_client::Result<()> {
/// let (client, events) = Client::builder("https://chat.example/im")
///     .credentials(Credentials::guest())
///     .token_store(FileTokenStore::new("session.json"))
///     .device("laptop")
///     .request_timeout(Duration::from_secs(10))
///     .start()?;
/// # drop((client, events)); Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start`, `connect` or `api` is called"]
pub struct Builder {
    url: String,
    credentials: Option<Credentials>,
    store: Arc<dyn TokenStore>,
    user_agent: String,
    net: NetOptions,
    connect_timeout: Duration,
    request_timeout: Duration,
    pub(crate) ready_timeout: Duration,
    pub(crate) session: Options,
    pub(crate) device: Option<String>,
    pub(crate) resume: Vec<(ConversationId, SeqId, Rev)>,
    pub(crate) event_capacity: usize,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            credentials: None,
            store: Arc::new(MemoryTokenStore::default()),
            user_agent: concat!("gochat-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            net: NetOptions::default(),
            connect_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            ready_timeout: Duration::from_secs(30),
            session: Options::default(),
            device: None,
            resume: Vec::new(),
            event_capacity: 4096,
        }
    }

    /// How to sign in when the token store holds no session. A session that the store holds goes
    /// on, except when these are the name and password of another account. Without credentials
    /// and without a stored session the client is signed out.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Where the user's session is kept, so that the user stays signed in when the app is started
    /// again. Default: in memory. Clones of a builder share the store, and so one user.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Names this device, for the user's list of sessions and for the server: a new connection of
    /// the same device replaces the older one, so two clients that run at the same time need two
    /// names. Default: a random one per client.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// The `User-Agent` of every request. Default: `gochat-client/` and its version.
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// The HTTP proxy. Default: the one that the environment names, [`Proxy::from_env`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.net.proxy = proxy;
        self
    }

    /// Which servers are trusted, and the client's certificate. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.net.tls = tls;
        self
    }

    /// How long it may take to make one connection: name, TCP, proxy and TLS. Default 15 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one HTTP request or WebSocket handshake may take, with its connection. Default
    /// 30 s.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long [`connect`](Self::connect) may take. Default 30 s.
    pub const fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
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

    /// Only the HTTP API, without a connection that is kept up. It signs in at its first call.
    ///
    /// # Errors
    /// `BadUrl`, `BadOption`, `TlsNotBuilt`: settings that can't be used.
    pub fn api(&self) -> Result<Api> {
        let endpoint = Endpoint::parse(&self.url)?;
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|_| {
            let sentence = "the user agent holds characters that no header may hold";
            Error::from(ErrorKind::BadOption(sentence.to_owned()))
        })?;
        let connector = Connector::new(&endpoint, &self.net, self.connect_timeout)?;
        let http = Http::new(endpoint, connector, self.request_timeout, user_agent);
        let (credentials, store) = (self.credentials.clone(), Arc::clone(&self.store));
        let tokens = Tokens::new(http.clone(), credentials, store, self.device.clone());
        Ok(Api { http, tokens })
    }

    /// Gives a client at once, also while the server can't be reached: it signs in, connects and
    /// catches up by itself, and messages may be sent meanwhile. [`Client::watch_status`] tells
    /// where it stands and why.
    ///
    /// # Errors
    /// `BadUrl`, `BadOption`, `TlsNotBuilt`: settings that can't be used; `BadOption` outside a
    /// Tokio runtime as well.
    pub fn start(self) -> Result<(Client, Events)> {
        let api = self.api()?;
        if tokio::runtime::Handle::try_current().is_err() {
            let sentence = "a client must be started within a Tokio runtime";
            return Err(ErrorKind::BadOption(sentence.to_owned()).into());
        }
        Ok(Client::start(api, self))
    }

    /// Signs in, connects and catches up before it gives the client.
    ///
    /// # Errors
    /// Those of [`start`](Self::start); what the server refuses the credentials with; what keeps
    /// the client from being connected, when waiting is no help; `Timeout` when all of it takes
    /// longer than [`ready_timeout`](Self::ready_timeout).
    pub async fn connect(self) -> Result<(Client, Events)> {
        let timeout = self.ready_timeout;
        let (client, events) = self.start()?;
        client.ready(timeout).await?;
        Ok((client, events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_can_not_be_used_are_refused_before_anything_is_started() {
        let refused = |builder: Builder| {
            let error = builder.start().map(drop).unwrap_err();
            matches!(error.kind(), ErrorKind::BadOption(_) | ErrorKind::BadUrl(_))
        };
        assert!(refused(Builder::new("localhost:8080")));
        assert!(refused(
            Builder::new("http://host").user_agent("two\nlines")
        ));
        // Without a runtime there is nothing to start it on.
        assert!(refused(Builder::new("http://host")));
    }
}
