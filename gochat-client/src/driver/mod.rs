//! One task per client: it owns the session machine and does what the machine asks for.
//!
//! HTTP requests and the socket's two halves are tasks of their own that report to the
//! driver's inbox, which is bounded: a driver that is behind stops the reader, and TCP stops the server.

mod requests;
mod socket;
mod standing;

use std::collections::HashMap;
use std::time::Duration;

use gochat_core::ids::{ConversationId, Rev, SeqId, UserId};
use gochat_core::sync::{
    Action, AuthFailure, ChangesPage, ClientSession, Event, HistoryPage, Listed, Outgoing, State,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::api::{Api, Reaching};
use crate::client::Sent;
use crate::status::Status;
use crate::{Builder, Cause, Error, ErrorKind, Result};
use socket::Socket;

/// Reports that may wait for the driver.
const REPORTS: usize = 256;

/// What a handle asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Send {
        message: Outgoing,
        reply: oneshot::Sender<Result<Sent>>,
    },
    MarkRead(ConversationId, SeqId),
    Typing(ConversationId, bool),
    Close,
}

/// What the driver's helpers report.
pub(crate) enum Report {
    Authenticated {
        user: UserId,
        life: Option<u64>,
    },
    Renewed {
        token: String,
        life: Option<u64>,
    },
    RenewFailed(AuthFailure),
    AuthFailed(Error),
    Connected(Box<Socket>),
    ConnectFailed(Error),
    Text {
        socket: u64,
        text: String,
    },
    Alive {
        socket: u64,
    },
    Gone {
        socket: u64,
        code: Option<u16>,
    },
    Listed {
        ticket: u64,
        listed: Option<Listed>,
    },
    Fetched {
        conversation: ConversationId,
        page: Fetched,
    },
}

/// The outcome of a request for history or changes.
#[derive(Debug)]
pub(crate) enum Fetched {
    History(SeqId, HistoryPage),
    Changes(Rev, ChangesPage),
    Failed { gone: bool },
}

/// What handles follow.
pub(crate) struct Told {
    pub(crate) state: watch::Sender<State>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) gaps: watch::Sender<usize>,
}

/// See the [module](self).
pub(crate) struct Driver {
    api: Api,
    device: String,
    session: ClientSession,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Receiver<Report>,
    report_to: mpsc::Sender<Report>,
    events: broadcast::Sender<Event>,
    state: watch::Sender<State>,
    status: watch::Sender<Status>,
    /// Why there is no connection, while there is none.
    cause: Option<Cause>,
    unsaved: watch::Receiver<Option<Cause>>,
    gaps: watch::Sender<usize>,
    waiting: HashMap<String, Vec<oneshot::Sender<Result<Sent>>>>,
    socket: Option<Box<Socket>>,
    sockets: u64,
    /// The app closed the client.
    is_closing: bool,
}

impl Driver {
    pub(crate) fn new(
        api: Api,
        options: Builder,
        commands: mpsc::Receiver<Command>,
        events: broadcast::Sender<Event>,
        told: Told,
    ) -> Self {
        let mut session = ClientSession::new(options.session, rand::random());
        for (conversation, seq, rev) in options.resume {
            session.resume(conversation, seq, rev);
        }
        let (report_to, reports) = mpsc::channel(REPORTS);
        let random_device = || format!("sdk-{:016x}", rand::random::<u64>());
        Self {
            unsaved: api.tokens.watch_unsaved(),
            api,
            device: options.device.unwrap_or_else(random_device),
            session,
            started: Instant::now(),
            commands,
            reports,
            report_to,
            events,
            state: told.state,
            status: told.status,
            cause: None,
            gaps: told.gaps,
            waiting: HashMap::new(),
            socket: None,
            sockets: 0,
            is_closing: false,
        }
    }

    /// Runs until the session is closed or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            self.settle();
            if self.session.state() == State::Closed {
                break;
            }
            let wake = self.session.poll_timeout();
            let sleep = sleep_until(wake.map(|at| self.started + Duration::from_millis(at)));
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => self.handle_command(Command::Close),
                },
                Some(report) = self.reports.recv() => self.handle_report(report),
                Ok(()) = self.unsaved.changed() => {}
                () = sleep => {}
            }
        }
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
        // A watcher of the state must find the reason: tell it last.
        self.state.send_replace(State::Closed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Does everything the machine asks for and tells everything it has to tell.
    fn settle(&mut self) {
        loop {
            while let Some(action) = self.session.poll_action(self.now()) {
                self.act(action);
            }
            let mut told = false;
            while let Some(event) = self.session.poll_event() {
                self.tell(event);
                told = true;
            }
            if !told {
                break;
            }
        }
        // After the events: whoever sees that nothing is missing has been told everything.
        let gaps = self.session.gaps();
        self.gaps
            .send_if_modified(|known| std::mem::replace(known, gaps) != gaps);
        self.tell_status();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Authenticate { renew } => self.authenticate(renew),
            Action::Connect => self.connect(),
            Action::RenewToken => self.renew(),
            Action::Disconnect => {
                if let Some(socket) = self.socket.take() {
                    tokio::spawn(socket.close());
                }
            }
            Action::Send(text) => {
                let lost = self.socket.as_ref().is_none_or(|socket| !socket.send(text));
                if lost {
                    self.socket = None;
                    self.session.handle_disconnected(None, self.now());
                }
            }
            Action::ListConversations {
                ticket,
                cursor,
                last_sync,
            } => {
                self.list(ticket, cursor, last_sync);
            }
            Action::FetchMessages {
                conversation_id,
                after_seq,
                limit,
                at_least,
                at_least_rev,
            } => {
                let reaching = Reaching {
                    seq: at_least,
                    rev: at_least_rev,
                };
                self.fetch(conversation_id, after_seq, limit, reaching);
            }
            Action::FetchChanges {
                conversation_id,
                after_rev,
                limit,
                at_least,
            } => {
                self.fetch_changes(conversation_id, after_rev, limit, at_least);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Sent {
                message,
                message_id,
                seq_id,
                created_at,
            } => {
                let (message_id, seq_id, created_at) = (*message_id, *seq_id, *created_at);
                for reply in self
                    .waiting
                    .remove(&message.client_msg_id)
                    .unwrap_or_default()
                {
                    let _ = reply.send(Ok(Sent {
                        message_id,
                        seq_id,
                        created_at,
                    }));
                }
            }
            Event::Refused { message, error } => {
                for reply in self
                    .waiting
                    .remove(&message.client_msg_id)
                    .unwrap_or_default()
                {
                    let _ = reply.send(Err(error.clone().into()));
                }
            }
            Event::State(state) if *state != State::Closed => {
                self.state.send_replace(*state);
            }
            Event::Error(refusal) => self.note_refusal(refusal),
            _ => {}
        }
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn handle_command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Send { message, reply } => {
                let id = message.client_msg_id.clone();
                match self.session.send(message, now) {
                    Ok(()) => self.waiting.entry(id).or_default().push(reply),
                    Err(_) => drop(reply.send(Err(ErrorKind::OutboxFull.into()))),
                }
            }
            Command::MarkRead(conversation, seq) => {
                self.session.mark_read(conversation, seq);
            }
            Command::Typing(conversation, is_typing) => {
                self.session.typing(conversation, is_typing);
            }
            Command::Close => {
                self.is_closing = true;
                self.session.close(now);
            }
        }
    }

    fn handle_report(&mut self, report: Report) {
        let now = self.now();
        match report {
            Report::Authenticated { user, life } => {
                if let Some(life) = life {
                    self.session.handle_token_life(life, now);
                }
                self.session.handle_authenticated(user);
            }
            Report::Renewed { token, life } => self.session.handle_renewed(&token, life, now),
            Report::RenewFailed(failure) => self.session.handle_renew_failed(&failure, now),
            Report::AuthFailed(error) => {
                let failure = requests::auth_failure(&error);
                self.cause = Some(error.into());
                self.session.handle_auth_failed(failure, now);
            }
            Report::Connected(socket) => {
                self.socket = Some(socket);
                self.cause = None;
                self.session.handle_connected(now);
            }
            Report::ConnectFailed(error) => {
                let failure = requests::connect_failure(&error);
                self.cause = Some(error.into());
                self.session.handle_connect_failed(failure, now);
            }
            Report::Text { socket, text } if self.is_current(socket) => {
                self.session.handle_text(&text, now);
            }
            Report::Alive { socket } if self.is_current(socket) => self.session.handle_alive(now),
            Report::Gone { socket, code } if self.is_current(socket) => {
                self.socket = None;
                self.note_disconnected(code);
                self.session.handle_disconnected(code, now);
            }
            Report::Listed {
                ticket,
                listed: Some(listed),
            } => {
                self.session.handle_listed(ticket, listed, now);
            }
            Report::Listed {
                ticket,
                listed: None,
            } => {
                self.session.handle_list_failed(ticket, now);
            }
            Report::Fetched { conversation, page } => match page {
                Fetched::History(after_seq, page) => {
                    self.session
                        .handle_fetched(conversation, after_seq, page, now);
                }
                Fetched::Changes(after_rev, page) => {
                    self.session
                        .handle_changes(conversation, after_rev, page, now);
                }
                Fetched::Failed { gone } => {
                    self.session.handle_fetch_failed(conversation, gone, now);
                }
            },
            // What an earlier socket still had to say.
            Report::Text { .. } | Report::Alive { .. } | Report::Gone { .. } => {}
        }
    }

    fn is_current(&self, socket: u64) -> bool {
        self.socket.as_ref().is_some_and(|s| s.id == socket)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
