//! "Is writing": relayed at most once per three seconds in either direction, ended by the client or
//! after six seconds of silence, never stored. Large groups and the world chat don't have it. Every
//! signal is charged to its user and to its conversation by the number of members that are told.

use std::hash::Hash;
use std::sync::Arc;

use gochat_core::audience::Roster;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::presence::{TypingRule, Typist};
use gochat_core::ratelimit::{Rule, RuleTable};
use gochat_core::session::frame::TypingIndicator;
use gochat_core::signal::Signal;
use gochat_infra::embedded::counter::MemoryLimiter;
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

/// Users in conversations that are remembered at once; beyond it an arbitrary one is forgotten.
const MAX_WRITERS: usize = 100_000;
/// Names remembered at once; beyond it an arbitrary one is forgotten.
const MAX_NAMES: usize = 10_000;
/// Workers that relay; a user's signals always go through the same one.
const WORKERS: usize = 8;
/// Signals that may wait for one worker.
const QUEUE: usize = 256;

type Place = (UserId, ConversationId);

struct Writer {
    typist: Typist,
    username: Option<Box<str>>,
}

/// Who is writing where.
pub(crate) struct Typing {
    writers: Mutex<HashMap<Place, Writer, ahash::RandomState>>,
    names: Mutex<HashMap<UserId, Arc<str>, ahash::RandomState>>,
    queues: Vec<mpsc::Sender<Relay>>,
    rule: TypingRule,
    /// What users and conversations may cost.
    budgets: MemoryLimiter,
    starts: Rule,
    told_by_user: Rule,
    told_in_conversation: Rule,
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
            rule: TypingRule {
                interval_ms: config.typing_interval_ms,
                expiry_ms: config.typing_expiry_ms,
            },
            budgets: MemoryLimiter::new(RuleTable::default(), MAX_WRITERS),
            starts: config.typing_starts,
            told_by_user: config.typing_told_by_user,
            told_in_conversation: config.typing_told_in_conversation,
        };
        (typing, receivers)
    }

    /// A client says that its user writes, or stopped.
    fn handle(&self, place: Place, name: Option<&str>, is_typing: bool, now: u64) -> Option<Relay> {
        let (user, conversation) = place;
        if conversation == ConversationId::World {
            return None;
        }
        let mut writers = self.writers.lock();
        if !writers.contains_key(&place) {
            // Who never wrote can't stop. A new conversation costs a look at its members, and a
            // place here.
            if !is_typing || !self.may_start(user) {
                return None;
            }
            make_room(&mut writers, MAX_WRITERS);
        }
        let writer = writers.entry(place).or_insert_with(|| Writer {
            typist: Typist::default(),
            username: name.map(Box::from),
        });
        let is_typing = writer.typist.note(is_typing, self.rule, now)?;
        Some(Relay {
            user,
            conversation,
            username: writer.username.clone(),
            is_typing,
        })
    }

    /// What is due: ends of silence, and states that waited for the end of their interval.
    fn poll_due(&self, now: u64) -> Vec<Relay> {
        let mut relays = Vec::new();
        self.writers.lock().retain(|(user, conversation), writer| {
            relays.extend(writer.typist.poll(self.rule, now).map(|is_typing| Relay {
                user: *user,
                conversation: *conversation,
                username: writer.username.clone(),
                is_typing,
            }));
            !writer.typist.is_idle(self.rule, now)
        });
        relays
    }

    fn may_start(&self, user: UserId) -> bool {
        let resource = format!("user:{user}");
        let verdict = self
            .budgets
            .charge_now(&resource, "typing_starts", self.starts, 1);
        verdict.is_allowed()
    }

    /// Whether a signal to this many members is within the budgets of its user and of its
    /// conversation.
    fn may_tell(&self, relay: &Relay, told: usize) -> bool {
        let of_user = format!("user:{}", relay.user);
        let of_conversation = format!("conversation:{}", relay.conversation);
        [
            (of_user, self.told_by_user),
            (of_conversation, self.told_in_conversation),
        ]
        .into_iter()
        .all(|(resource, rule)| {
            let verdict = self
                .budgets
                .charge_now(&resource, "typing_told", rule, told as u64);
            verdict.is_allowed()
        })
    }
}

/// Forgets an arbitrary entry of a full table: a stranger who fills it keeps nobody out.
fn make_room<K: Clone + Eq + Hash, V>(table: &mut HashMap<K, V, ahash::RandomState>, max: usize) {
    if table.len() >= max
        && let Some(victim) = table.keys().next().cloned()
    {
        table.remove(&victim);
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

/// Tells what is due; called about once a second.
pub(crate) fn sweep(gw: &Gw) {
    for relay in gw.typing.poll_due(clock::ticks_ms()) {
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
    if !gw.typing.may_tell(&relay, audience.users().len()) {
        crate::metrics::dropped("typing", 1);
        return Ok(());
    }
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
        ..Default::default()
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
    make_room(&mut names, MAX_NAMES);
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

    /// What is relayed while a client says one of the two in turn every 25 ms.
    fn flood(typing: &Typing, user: u64, seconds: u64) -> usize {
        let place = (UserId::new(user).unwrap(), place().1);
        let mut relayed = 0;
        for n in 0..seconds * 40 {
            let now = 1_000_000 + n * 25;
            relayed += usize::from(typing.handle(place, None, n % 2 == 0, now).is_some());
            if n % 40 == 0 {
                relayed += typing.poll_due(now).len();
            }
        }
        relayed
    }

    #[test]
    fn saying_both_in_turn_is_relayed_once_per_interval() {
        let relayed = flood(&typing(), 1, 30);
        assert!((9..=10).contains(&relayed), "{relayed}");
    }

    #[test]
    fn the_last_word_is_told_and_the_writer_forgotten() {
        let typing = typing();
        assert!(typing.handle(place(), None, true, 1_000).is_some());
        assert!(typing.handle(place(), None, false, 1_025).is_none());
        assert!(typing.poll_due(3_999).is_empty());
        let told = typing.poll_due(4_000);
        assert!(told.len() == 1 && !told[0].is_typing);
        assert!(typing.poll_due(8_000).is_empty());
        assert!(typing.writers.lock().is_empty());
    }

    #[test]
    fn stopping_is_relayed_only_by_those_who_typed() {
        let typing = typing();
        assert!(typing.handle(place(), None, false, 1_000).is_none());
        assert!(typing.writers.lock().is_empty());
    }

    #[test]
    fn a_stranger_who_names_many_conversations_takes_few_places() {
        let typing = typing();
        let user = UserId::new(1).unwrap();
        for n in 2..10_000 {
            let other = UserId::new(n).unwrap();
            let conversation = ConversationId::single(user, other).unwrap();
            typing.handle((user, conversation), None, true, 1_000);
        }
        assert!(typing.writers.lock().len() <= 20);
    }

    #[test]
    fn a_full_table_keeps_nobody_out() {
        let mut table = HashMap::default();
        for n in 0..1_000 {
            make_room(&mut table, 10);
            table.insert(n, ());
            assert!(table.contains_key(&n) && table.len() <= 10);
        }
    }

    #[test]
    fn a_conversation_is_told_by_cost() {
        let typing = typing();
        let relay = |user| Relay {
            user: UserId::new(user).unwrap(),
            conversation: place().1,
            username: None,
            is_typing: true,
        };
        let told = (1..=1_000).filter(|user| typing.may_tell(&relay(*user), 500));
        assert!(
            (1..=20).contains(&told.count()),
            "500 writers to 500 members are too many"
        );
    }

    #[test]
    fn the_world_does_not_hear_it() {
        let typing = typing();
        let place = (UserId::new(1).unwrap(), ConversationId::World);
        assert!(typing.handle(place, None, true, 0).is_none());
    }
}
