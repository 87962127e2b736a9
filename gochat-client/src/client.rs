//! The handle.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gochat_core::ids::{ConversationId, MessageId, SeqId, UserId};
use gochat_core::sync::{Event, Outgoing, State};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::api::Api;
use crate::driver::{Command, Driver, Told};
use crate::status::{Connection, Status};
use crate::{Builder, Credentials, Error, ErrorKind, Events, Result};

/// How long closing waits for tokens on their way.
const SETTLING: Duration = Duration::from_secs(5);
/// Commands that may wait for the driver.
const COMMANDS: usize = 1024;

/// A connection to a server, kept up for as long as a handle exists. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    api: Api,
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    status: watch::Receiver<Status>,
    gaps: watch::Receiver<usize>,
    events: broadcast::WeakSender<Event>,
}

/// A message is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message_id: MessageId,
    /// Its place in the conversation.
    pub seq_id: SeqId,
    /// Unix seconds.
    pub created_at: i64,
}

impl Client {
    /// Settings for a client of the server at `url`: `https://host`, with a port and a path in
    /// front of `/api` and `/ws` if need be; `http`, `ws` and `wss` are understood too.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// Signs in, connects and catches up, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// Those of [`Builder::connect`].
    pub async fn connect(url: &str, credentials: Credentials) -> Result<(Self, Events)> {
        let builder = Self::builder(url).credentials(credentials);
        builder.connect().await
    }

    pub(crate) fn start(api: Api, options: Builder) -> (Self, Events) {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (sender, receiver) = broadcast::channel(options.event_capacity.max(1));
        let weak = sender.downgrade();
        let (state_sender, state) = watch::channel(State::Authenticating);
        let (status_sender, status) = watch::channel(Status {
            connection: Connection::Connecting,
            unsaved: None,
        });
        let (gap_sender, gaps) = watch::channel(0);
        let told = Told {
            state: state_sender,
            status: status_sender,
            gaps: gap_sender,
        };
        let driver = Driver::new(api.clone(), options, inbox, sender, told);
        tokio::spawn(driver.run());
        let client = Self {
            api,
            commands,
            state,
            status,
            gaps,
            events: weak,
        };
        (client, Events::new(receiver))
    }

    /// Waits until the client is connected and has caught up.
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<()> {
        let mut status = self.watch_status();
        let ended = status.wait_for(|status| match &status.connection {
            Connection::Online => true,
            Connection::Offline { cause, .. } => is_hopeless(cause),
            other => other.is_final(),
        });
        let connection = match tokio::time::timeout(timeout, ended).await {
            Ok(Ok(status)) => status.connection.clone(),
            Ok(Err(_)) => Connection::Closed,
            Err(_) => return Err(self.timed_out()),
        };
        match connection {
            Connection::Online => Ok(()),
            Connection::Offline { cause, .. } | Connection::SignedOut { cause } => {
                Err(cause.into())
            }
            _ => Err(ErrorKind::Closed.into()),
        }
    }

    fn timed_out(&self) -> Error {
        match self.status().connection {
            Connection::Offline { cause, .. } => {
                Error::with_source(ErrorKind::Timeout, Error::from(cause))
            }
            _ => ErrorKind::Timeout.into(),
        }
    }

    /// The user, once that is known: at once when the token store knows, else when the client has
    /// signed in. After [`connect`](Self::connect) it is known.
    pub fn user_id(&self) -> Option<UserId> {
        self.api.tokens.known_user_id()
    }

    /// The HTTP API with this client's tokens.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Follows where the connection stands.
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Where the client stands, and why it isn't connected.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows where the client stands, and why it isn't connected.
    ///
    /// ```no_run
    /// use gochat_client::{Client, Connection};
    /// # async fn run(client: Client) {
    /// let mut status = client.watch_status();
    /// while status.changed().await.is_ok() {
    ///     match &status.borrow_and_update().connection {
    ///         Connection::Offline { cause, .. } => println!("offline: {cause}"),
    ///         Connection::SignedOut { cause } => println!("please sign in: {cause}"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Follows in how many conversations messages are missing that are known to exist: they are being fetched, or their
    /// rows are still on their way to the database. What came after them is told behind them; an application may
    /// show that it is catching up.
    pub fn watch_gaps(&self) -> watch::Receiver<usize> {
        self.gaps.clone()
    }

    /// Another receiver of events, from now on; `None` once the client is closed.
    pub fn subscribe(&self) -> Option<Events> {
        self.events
            .upgrade()
            .map(|sender| Events::new(sender.subscribe()))
    }

    /// Sends a text message. It is on its way even if the future is dropped; the future gives
    /// the acknowledgement, however often the message had to be repeated.
    pub fn send(&self, to: ConversationId, text: impl Into<String>) -> Sending {
        self.send_message(Self::text(to, text))
    }

    /// A text message with a client id of its own, for [`send_message`](Self::send_message): add
    /// what it refers to. What it refers to is kept and repeated with the message.
    ///
    /// ```no_run
    /// use gochat_client::{Client, Message};
    /// # async fn run(client: Client, question: Message) -> gochat_client::Result<()> {
    /// let answer = Client::text(question.conversation_id, "yes, @ann")
    ///     .reply_to(question.id)
    ///     .mention([question.sender_id]);
    /// client.send_message(answer).await?;
    /// # Ok(()) }
    /// ```
    pub fn text(to: ConversationId, text: impl Into<String>) -> Outgoing {
        Outgoing::text(Uuid::now_v7().to_string(), to, text)
    }

    /// Sends any message. A client id that is waiting already is taken for the same message. Set `resend` on messages that
    /// an earlier run of your application left unsettled: they are stored once all the same.
    pub fn send_message(&self, message: Outgoing) -> Sending {
        let (reply, receiver) = oneshot::channel();
        let failed = match self.commands.try_send(Command::Send { message, reply }) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(_)) => Some(ErrorKind::OutboxFull),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(ErrorKind::Closed),
        };
        Sending { receiver, failed }
    }

    /// Says how far the user has read; best effort, over the socket.
    pub async fn mark_read(&self, conversation: ConversationId, seq: SeqId) -> Result<()> {
        self.command(Command::MarkRead(conversation, seq)).await
    }

    /// Tells others that the user is writing, or stopped; best effort.
    pub async fn typing(&self, conversation: ConversationId, is_typing: bool) -> Result<()> {
        self.command(Command::Typing(conversation, is_typing)).await
    }

    /// Signs out: ends the session at the server, forgets it in the token store, and closes the
    /// client.
    ///
    /// # Errors
    /// Those of [`Api::logout`](crate::api::Api::logout); the client isn't closed then.
    pub async fn sign_out(&self) -> Result<()> {
        self.api.logout().await?;
        self.close().await;
        Ok(())
    }

    /// Closes the connection for every clone of this handle. What wasn't acknowledged yet fails. Await
    /// it before the program ends: tokens that are on their way from the server are kept before it
    /// returns, within 5 s.
    pub async fn close(&self) {
        // An error says that it is closed already.
        let _ = self.command(Command::Close).await;
        let mut state = self.state.clone();
        let _ = state.wait_for(|s| *s == State::Closed).await;
        let _ = tokio::time::timeout(SETTLING, self.api.tokens.settled()).await;
    }

    async fn command(&self, command: Command) -> Result<()> {
        self.commands
            .send(command)
            .await
            .map_err(|_| ErrorKind::Closed.into())
    }
}

/// Whether waiting for a connection is no help. A client that was connected goes on trying all the
/// same: the network may be another one soon.
const fn is_hopeless(error: &Error) -> bool {
    !error.is_retryable() || matches!(error.kind(), ErrorKind::Proxy | ErrorKind::Storage)
}

/// The acknowledgement to come; see [`Client::send`].
#[derive(Debug)]
#[must_use = "await it to learn whether the message arrived"]
pub struct Sending {
    receiver: oneshot::Receiver<Result<Sent>>,
    failed: Option<ErrorKind>,
}

impl Future for Sending {
    type Output = Result<Sent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Sent>> {
        if let Some(kind) = self.failed.take() {
            return Poll::Ready(Err(kind.into()));
        }
        Pin::new(&mut self.receiver)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(ErrorKind::Closed.into())))
    }
}
