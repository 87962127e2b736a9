//! The handle.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use gochat_core::ids::{ConversationId, MessageId, SeqId, UserId};
use gochat_core::sync::{Event, Outgoing, State};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::api::Api;
use crate::driver::{Command, Driver};
use crate::{ConnectOptions, Credentials, Error, ErrorKind, Events, Result};

/// Commands that may wait for the driver.
const COMMANDS: usize = 1024;

/// A connection to a server, kept up for as long as a handle exists. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    api: Api,
    user: UserId,
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
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
    /// Signs in, connects and catches up.
    ///
    /// `url` reads `http://host[:port]`. Fails when the credentials are bad, or when the
    /// server can't be reached within 30 s; from then on the connection is kept up.
    pub async fn connect(url: &str, credentials: Credentials) -> Result<(Self, Events)> {
        Self::connect_with(url, credentials, ConnectOptions::default()).await
    }

    /// The same with settings of your own.
    pub async fn connect_with(
        url: &str,
        credentials: Credentials,
        options: ConnectOptions,
    ) -> Result<(Self, Events)> {
        let timeout = options.connect_timeout;
        let opening = Self::open(url, credentials, options);
        tokio::time::timeout(timeout, opening)
            .await
            .map_err(|_| Error::from(ErrorKind::Timeout))?
    }

    async fn open(
        url: &str,
        credentials: Credentials,
        options: ConnectOptions,
    ) -> Result<(Self, Events)> {
        let api = Api::with_timeout(url, credentials, options.request_timeout)?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (sender, receiver) = broadcast::channel(options.event_capacity.max(1));
        let mut watcher = sender.subscribe();
        let (state_sender, mut state) = watch::channel(State::Authenticating);
        let weak = sender.downgrade();
        let (gap_sender, gaps) = watch::channel(0);
        let driver = Driver::new(
            api.clone(),
            options,
            inbox,
            sender,
            state_sender,
            gap_sender,
        );
        tokio::spawn(driver.run());
        let reached = state
            .wait_for(|s| matches!(s, State::Ready | State::Closed))
            .await;
        if !reached.is_ok_and(|s| *s == State::Ready) {
            return Err(last_error(&mut watcher));
        }
        let user = api.tokens.user_id().await?;
        Ok((
            Self {
                api,
                user,
                commands,
                state,
                gaps,
                events: weak,
            },
            Events::new(receiver),
        ))
    }

    /// The signed-in user.
    pub const fn user_id(&self) -> UserId {
        self.user
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

    /// Closes the connection for every clone of this handle. What wasn't acknowledged yet fails.
    pub async fn close(&self) {
        // An error says that it is closed already.
        let _ = self.command(Command::Close).await;
        let mut state = self.state.clone();
        let _ = state.wait_for(|s| *s == State::Closed).await;
    }

    async fn command(&self, command: Command) -> Result<()> {
        self.commands
            .send(command)
            .await
            .map_err(|_| ErrorKind::Closed.into())
    }
}

/// Why the session ended, as its events told.
fn last_error(events: &mut broadcast::Receiver<Event>) -> Error {
    let mut last = Error::from(ErrorKind::Closed);
    while let Ok(event) = events.try_recv() {
        if let Event::Error(refusal) = event {
            last = refusal.into();
        }
    }
    last
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
