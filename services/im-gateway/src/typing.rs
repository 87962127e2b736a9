//! "Somebody is writing": relayed at most once per three seconds, ended by the client or after six
//! seconds of silence, never stored. Large groups and the world chat don't have it.

use std::sync::Arc;

use gochat_core::audience::Roster;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::session::frame::TypingIndicator;
use gochat_core::signal::Signal;
use gochat_proto::im::gateway::v1::PushToUsersRequest;
use gochat_proto::im::repo::v1::{FactsQuery, LoadConversationFactsRequest};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Presence;
use crate::frames;
use crate::pusher;
use crate::state::Gw;
use crate::ws::conn::Conn;

/// Writers remembered at once; beyond it nobody new is relayed.
const MAX_WRITERS: usize = 100_000;
/// Names remembered at once.
const MAX_NAMES: usize = 10_000;
/// Workers that relay; a user's signals always go through the same one.
const WORKERS: usize = 8;
/// Signals that may wait for one worker.
const QUEUE: usize = 256;

type Place = (UserId, ConversationId);

struct Writer {
    relayed_ms: u64,
    expires_ms: u64,
    username: Option<Box<str>>,
}

/// Who is writing where.
pub(crate) struct Typing {
    writers: Mutex<HashMap<Place, Writer, ahash::RandomState>>,
    names: Mutex<HashMap<UserId, Arc<str>, ahash::RandomState>>,
    queues: Vec<mpsc::Sender<Relay>>,
    interval_ms: u64,
    expiry_ms: u64,
}

/// What to tell the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    user: UserId,
    conversation: ConversationId,
    username: Option<Box<str>>,
    is_typing: bool,
}

impl Typing {
    /// The state, and the queues its workers read.
    pub(crate) fn new(config: &Presence) -> (Self, Vec<mpsc::Receiver<Relay>>) {
        let (queues, receivers) = (0..WORKERS).map(|_| mpsc::channel(QUEUE)).unzip();
        let typing = Self {
            writers: Mutex::default(),
            names: Mutex::default(),
            queues,
            interval_ms: config.typing_interval_ms,
            expiry_ms: config.typing_expiry_ms,
        };
        (typing, receivers)
    }

    /// A client says that its user writes, or stopped.
    fn handle(&self, place: Place, name: Option<&str>, is_typing: bool, now: u64) -> Option<Relay> {
        let (user, conversation) = place;
        if conversation == ConversationId::World {
            return None;
        }
        let username = name.map(Box::from);
        let relay = |username| {
            Some(Relay {
                user,
                conversation,
                username,
                is_typing,
            })
        };
        let mut writers = self.writers.lock();
        if !is_typing {
            return writers
                .remove(&place)
                .and_then(|writer| relay(writer.username));
        }
        if let Some(writer) = writers.get_mut(&place) {
            writer.expires_ms = now + self.expiry_ms;
            if now < writer.relayed_ms + self.interval_ms {
                return None;
            }
            writer.relayed_ms = now;
            return relay(username);
        }
        if writers.len() >= MAX_WRITERS {
            return None;
        }
        let writer = Writer {
            relayed_ms: now,
            expires_ms: now + self.expiry_ms,
            username: username.clone(),
        };
        writers.insert(place, writer);
        relay(username)
    }

    /// Writers who fell silent.
    fn poll_expired(&self, now: u64) -> Vec<Relay> {
        let mut writers = self.writers.lock();
        let expired = writers.extract_if(|_, writer| writer.expires_ms <= now);
        let relays = expired.map(|((user, conversation), writer)| Relay {
            user,
            conversation,
            username: writer.username,
            is_typing: false,
        });
        relays.collect()
    }
}

/// Handles a `typing` or `stop-typing` frame.
pub(crate) fn note(gw: &Gw, conn: &Conn, conversation: ConversationId, is_typing: bool) {
    let place = (conn.user(), conversation);
    let name = conn.about().username.as_deref();
    if let Some(relay) = gw.typing.handle(place, name, is_typing, clock::ticks_ms()) {
        start(gw, relay);
    }
}

/// Ends what has expired; called about once a second.
pub(crate) fn sweep(gw: &Gw) {
    for relay in gw.typing.poll_expired(clock::ticks_ms()) {
        start(gw, relay);
    }
}

/// Hands a relay to the worker of its user, so that "writes" and "stopped" stay in order.
/// A full queue drops it: the signal is worthless a moment later anyway.
fn start(gw: &Gw, relay: Relay) {
    let queues = &gw.typing.queues;
    let worker = relay.user.get() as usize % queues.len();
    if queues[worker].try_send(relay).is_err() {
        crate::metrics::dropped("typing", 1);
    }
}

/// Relays what one queue holds until the gateway stops.
pub(crate) async fn run(gw: Gw, mut queue: mpsc::Receiver<Relay>, stop: CancellationToken) {
    loop {
        let relay = tokio::select! {
            () = stop.cancelled() => return,
            relay = queue.recv() => relay,
        };
        let Some(relay) = relay else { return };
        if let Err(error) = tell(&gw, relay).await {
            tracing::debug!(%error, "a typing signal was not relayed");
        }
    }
}

async fn tell(gw: &Gw, relay: Relay) -> Result<(), Error> {
    let roster = roster(gw, relay.conversation, relay.user).await?;
    if !roster.contains(relay.user) {
        return Err(ErrorCode::NotConversationMember.into());
    }
    let audience = roster.everyone().without(relay.user);
    let username = match relay.username {
        Some(name) => Arc::from(&*name),
        None => name_of(gw, relay.user).await?,
    };
    let (user_id, conversation_id) = (relay.user.to_string(), relay.conversation.to_string());
    let indicator = TypingIndicator {
        conversation_id: (&*conversation_id).into(),
        user_id: (&*user_id).into(),
        username: (&*username).into(),
        is_typing: relay.is_typing,
    };
    let frame = frames::frame(&indicator, clock::now_s());
    let payload = serde_json::to_vec(&indicator).expect("plain structs can't fail");
    let request = PushToUsersRequest {
        trace_id: crate::upstream::new_trace(),
        signal_type: Signal::Typing.name().to_owned(),
        payload: payload.into(),
        timestamp: clock::now_s(),
        expire_at: clock::now_s() + 6,
        ..Default::default()
    };
    pusher::tell(gw, &audience, &frame, request).await;
    Ok(())
}

/// The members of a conversation as of now: a list that was remembered would reach people who were
/// removed meanwhile. Of a conversation that is too large for typing signals, the writer alone.
async fn roster(gw: &Gw, conversation: ConversationId, user: UserId) -> Result<Roster, Error> {
    let query = FactsQuery {
        conversation_id: conversation.to_string(),
        sender_ids: vec![user.to_string()],
        with_recent: false,
        resends: Vec::new(),
    };
    let max_members = gw.config.presence.typing_max_members;
    let request = LoadConversationFactsRequest {
        queries: vec![query],
        max_members,
        ..Default::default()
    };
    let mut response = gw.backend.load_conversation_facts(request).await?;
    let facts = response
        .facts
        .pop()
        .filter(|f| f.found && !f.dissolved && !f.blocked);
    let facts = facts.ok_or(ErrorCode::ConversationNotFound)?;
    let members = facts.members.iter();
    Ok(Roster::loaded(
        members.filter_map(|m| m.user_id.parse().ok()),
    ))
}

/// The name of a user whose token does not carry it. Names never change.
async fn name_of(gw: &Gw, user: UserId) -> Result<Arc<str>, Error> {
    if let Some(name) = gw.typing.names.lock().get(&user) {
        return Ok(name.clone());
    }
    let profile = gw.profile(user, "").await?;
    let name: Arc<str> = profile.username.into();
    let mut names = gw.typing.names.lock();
    if names.len() >= MAX_NAMES {
        names.clear();
    }
    names.insert(user, name.clone());
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typing() -> Typing {
        Typing::new(&Presence::default()).0
    }

    fn place() -> Place {
        let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
        (a, ConversationId::single(a, b).unwrap())
    }

    #[test]
    fn typing_is_relayed_once_per_interval_and_ends_by_itself() {
        let typing = typing();
        let typed = |now| typing.handle(place(), None, true, now).is_some();
        assert!(typed(0));
        assert!(!typed(1_000));
        assert!(typed(3_000));
        assert!(typing.poll_expired(8_999).is_empty());
        let ended = typing.poll_expired(9_000);
        assert_eq!(ended.len(), 1);
        assert!(!ended[0].is_typing);
        assert!(typing.poll_expired(20_000).is_empty(), "told once");
    }

    #[test]
    fn stopping_is_relayed_only_by_those_who_typed() {
        let typing = typing();
        assert!(typing.handle(place(), None, false, 0).is_none());
        typing.handle(place(), None, true, 0);
        assert!(typing.handle(place(), None, false, 1).is_some());
        assert!(typing.poll_expired(100_000).is_empty());
    }

    #[test]
    fn the_world_does_not_hear_it() {
        let typing = typing();
        let place = (UserId::new(1).unwrap(), ConversationId::World);
        assert!(typing.handle(place, None, true, 0).is_none());
    }
}
