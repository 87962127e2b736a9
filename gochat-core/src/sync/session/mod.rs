//! The whole client as one machine: signing in, connecting, catching up, staying connected.

mod copies;
mod inbox;
mod lifecycle;
mod quotes;
mod replica;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use types::{
    Action, AuthFailure, Changed, ChangesPage, ConnectFailure, Event, HistoryPage, Listed,
    ListedConversation, Options, State,
};

use super::{Backoff, Millis, Outbox, OutboxFull, Outgoing};
use crate::ids::{ConversationId, Rev, SeqId, UserId};
use crate::session::frame::ClientFrame;
use lifecycle::Phase;
use quotes::Told;
use replica::Replica;

/// The whole client as one machine: signing in, connecting, catching up, staying connected.
///
/// The driver does I/O and nothing else:
///
/// 1. tell what happened: `handle_*`, or what the user wants: [`send`](ClientSession::send),
///    [`mark_read`](ClientSession::mark_read), [`close`](ClientSession::close) …
/// 2. do every [`Action`] of [`poll_action`](ClientSession::poll_action) and report its outcome;
/// 3. hand out every [`Event`] of [`poll_event`](ClientSession::poll_event);
/// 4. sleep until something happens or [`poll_timeout`](ClientSession::poll_timeout) is reached.
///
/// ```text
/// Authenticating ─→ Connecting ─→ Syncing ─→ Ready
///       ↑               ↑            │         │
///       └── BackingOff ─┴────────────┴─────────┘      Closed: for good
/// ```
#[derive(Debug)]
pub struct ClientSession {
    options: Options,
    seed: u64,
    user: Option<UserId>,
    phase: Phase,
    backoff: Backoff,
    /// When to ask for a newer token than the one in hand; `None` while that isn't known, or while
    /// one is asked for.
    renew_at: Option<Millis>,
    /// Refusals of a token in a row; too many end the session.
    refusals: u32,
    outbox: Outbox,
    replicas: BTreeMap<ConversationId, Replica>,
    /// What was told lately, for quotes.
    told: Told,
    /// Conversations of which something is missing; a subset of `replicas`.
    gaps: BTreeSet<ConversationId>,
    /// Changes pushed of conversations that the listing under way may still name.
    heard: BTreeMap<ConversationId, Rev>,
    fetching: usize,
    /// Highest server time seen while everything was known, in Unix seconds.
    synced_at: Option<i64>,
    server_time: i64,
    /// Numbers listings, so that an answer to an earlier connection's question is recognised.
    ticket: u64,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl ClientSession {
    /// A session that signs in and connects as soon as it is polled. `seed` spreads its retries.
    pub fn new(options: Options, seed: u64) -> Self {
        let mut session = Self {
            seed,
            user: None,
            phase: Phase::Authenticating,
            backoff: Backoff::reconnect(seed),
            renew_at: None,
            refusals: 0,
            outbox: Outbox::new(options.outbox, seed),
            replicas: BTreeMap::new(),
            told: Told::new(),
            gaps: BTreeSet::new(),
            heard: BTreeMap::new(),
            fetching: 0,
            synced_at: None,
            server_time: 0,
            ticket: 0,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            options,
        };
        session
            .actions
            .push_back(Action::Authenticate { renew: false });
        session
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// How far a conversation's timeline is complete; `None` for one this session doesn't know.
    pub fn complete_to(&self, conversation: ConversationId) -> Option<SeqId> {
        self.replicas.get(&conversation).map(Replica::complete_to)
    }

    /// Up to which `rev` messages and changes of a conversation were told; `None` while that isn't
    /// known, as with a server without changes.
    pub fn complete_rev(&self, conversation: ConversationId) -> Option<Rev> {
        self.replicas
            .get(&conversation)
            .and_then(Replica::complete_rev)
    }

    /// Conversations that are known to go further than they are complete, in messages or changes:
    /// what is missing is being fetched, or its row is still on its way to the database. What came
    /// after it is handed out behind it.
    pub fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Messages that wait for their acknowledgement.
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }

    /// Takes up a conversation where an earlier session left it, by the numbers of its last
    /// [`Event::Progress`]. Call it before the first poll. With a `rev` of 0 changes of earlier
    /// messages that were made meanwhile aren't told.
    pub fn resume(&mut self, conversation: ConversationId, complete_to: SeqId, complete_rev: Rev) {
        let seed = self.next_seed();
        let replica = Replica::resume(conversation, complete_to, complete_rev, seed);
        self.replicas.insert(conversation, replica);
    }

    /// Hands a message in; its fate comes as [`Event::Sent`] or [`Event::Refused`]. One that names
    /// more users than the server takes is refused here.
    pub fn send(&mut self, mut message: Outgoing, now: Millis) -> Result<(), OutboxFull> {
        match message.check_refers() {
            Ok(refers) => message.refers = refers.unwrap_or_default(),
            Err(error) => {
                self.events.push_back(Event::Refused { message, error });
                return Ok(());
            }
        }
        self.outbox.push(message, now)
    }

    /// Reports how far the user has read. Gives false when there is no connection to report it on.
    pub fn mark_read(&mut self, conversation_id: ConversationId, seq_id: SeqId) -> bool {
        self.send_frame(&ClientFrame::MarkRead {
            conversation_id,
            seq_id,
        })
    }

    /// Tells others that the user is writing, or stopped. False when there is no connection.
    pub fn typing(&mut self, conversation: ConversationId, is_typing: bool) -> bool {
        self.send_frame(&if is_typing {
            ClientFrame::Typing(conversation)
        } else {
            ClientFrame::StopTyping(conversation)
        })
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self, now: Millis) -> Option<Action> {
        self.handle_timeout(now);
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if !self.phase.is_online() {
            return None;
        }
        if let Some(message) = self.outbox.poll_send(now) {
            return Some(Action::Send(text_of(&message.frame())));
        }
        self.poll_fetch(now)
    }

    /// The next thing to tell the user, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send_frame(&mut self, frame: &ClientFrame<'_>) -> bool {
        let online = self.phase.is_online();
        if online {
            self.actions.push_back(Action::Send(text_of(frame)));
        }
        online
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }
}

fn text_of(frame: &ClientFrame<'_>) -> String {
    let mut out = Vec::new();
    frame.encode(&mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}
