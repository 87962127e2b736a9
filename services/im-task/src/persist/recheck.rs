//! Who got a session while a message was on its way.
//!
//! A message goes to the gateways its recipients were on when presence was looked up. Who registered a session since, on
//! whichever gateway, may have missed it there, and their first synchronisation may have read the database before the row
//! was in it. So once the row is written, the message goes to every session of its recipients that was registered
//! since; who registers later finds the row. Gateways leave out whom they have served lately.
//!
//! A change of a message goes the same way, to the same recipients and to the author of the message.
//!
//! The list of arrivals is read once per batch, so a message costs nothing for recipients who did not come or go.
//!
//! | message | is pushed again to |
//! |---|---|
//! | single chat, small group | recipients who came since and are still members; all of them are looked up when arrivals or presence were not known |
//! | group whose members were listed for every gateway | members who came since on a gateway that is not named in the record; on any gateway, when the row took so long that gateways have forgotten the message |
//! | group whose members are paged | members who came since, on any gateway |
//! | both, when arrivals or presence were not known | all members, by a fan-out task that is marked `again` |
//! | world chat | gateways that live now and were not in the list it was broadcast to; arrivals, when the row took so long that gateways have forgotten the broadcast |

use std::collections::VecDeque;
use std::sync::Arc;

use gochat_core::audience::Roster;
use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, UserId};
use gochat_infra::port::mq::{Headers, OutRecord};
use gochat_infra::telemetry::Context;
use gochat_infra::topics;
use gochat_proto::mq::v1::{
    ChangeKind, DownstreamKind, DownstreamMessage, FanoutTask, PersistenceMessage, Quoted,
    References,
};
use hashbrown::{HashMap, HashSet};
use prost::Message as _;

use super::arrivals::Arrivals;
use crate::delivery::{self, Delivery, Targets, by_gateway};
use crate::repo::{LOOKUP, Repo, roster};
use crate::{clock, metrics};

/// A session counts as new when it was registered up to this long before the message's time: the time is in whole
/// seconds, clocks differ, and lists of gateways are a second old.
const MARGIN_MS: i64 = 3_000;
/// Gateways remember broadcasts at least this long for whoever registers meanwhile.
const REMEMBERED_MS: i64 = 3_000;

/// Of each conversation so many messages of a batch, the newest ones, are pushed again. They show a newcomer that older
/// ones are missing, which history has by now; all of a backlog would only overflow the newcomer's queue.
const NEWEST: usize = 16;

/// Messages whose recipients are looked at again, kept while presence is away.
pub(super) struct Recheck {
    repo: Repo,
    delivery: Delivery,
    task_headers: Headers,
    arrivals: Arrivals,
    waiting: VecDeque<Waiting>,
    /// How many waited before the batch in hand, whose records come again when it isn't committed.
    before: usize,
    /// How many of the front have records among the outputs in hand.
    done: usize,
    bound: usize,
}

struct Waiting {
    message: PersistenceMessage,
    /// Where it is in its trace.
    traced: Option<Context>,
    conversation: ConversationId,
}

/// What is known when the rows are written.
struct Now {
    ms: i64,
    /// Gateways with sessions; asked only when a broadcast waits.
    live: Vec<String>,
    /// Gateways of those who had to be looked up.
    online: HashMap<String, Vec<String>>,
    /// Who of those to be pushed again is a member now, by group.
    rosters: HashMap<ConversationId, Roster>,
}

impl Recheck {
    pub(super) fn new(repo: Repo, delivery: Delivery, bound: usize) -> Self {
        Self {
            repo,
            delivery,
            task_headers: delivery::headers("FanoutTask"),
            arrivals: Arrivals::default(),
            waiting: VecDeque::new(),
            before: 0,
            done: 0,
            bound,
        }
    }

    /// A new batch, or none: what is added from now on belongs to it.
    pub(super) fn begin(&mut self) {
        (self.before, self.done) = (self.waiting.len(), 0);
    }

    /// What [`run`](Self::run) returned is written.
    pub(super) fn committed(&mut self) {
        self.waiting.drain(..self.done);
        self.done = 0;
    }

    /// It may not be: older messages wait on, those of the batch come again.
    pub(super) fn aborted(&mut self) {
        self.waiting.truncate(self.before);
        self.done = 0;
    }

    /// Takes messages whose rows are written.
    pub(super) fn add(
        &mut self,
        messages: impl Iterator<Item = (PersistenceMessage, Option<Context>)>,
    ) {
        let known = |(message, traced): (PersistenceMessage, Option<Context>)| {
            let conversation = message.conversation_id.parse().ok()?;
            Some(Waiting {
                message,
                traced,
                conversation,
            })
        };
        self.waiting.extend(messages.filter_map(known));
        while self.waiting.len() > self.bound {
            self.waiting.pop_front();
            self.before = self.before.saturating_sub(1);
            metrics::dropped("recheck", 1);
        }
    }

    /// Records for those who came meanwhile. While presence is away, or fills up again after it lost its data, all of it
    /// keeps waiting: writing rows must not wait for that.
    pub(super) async fn run(&mut self) -> Vec<OutRecord> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let looked = match self.arrivals.catch_up(&self.repo).await {
            Ok(()) if self.arrivals.is_healing(clock::now_ms()) => return Vec::new(),
            Ok(()) => self.look().await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(now) => {
                self.done = self.waiting.len();
                self.outputs(&self.waiting, &now)
            }
            Err(error) => {
                tracing::warn!(%error, messages = self.waiting.len(), "recipients can't be looked up yet");
                Vec::new()
            }
        }
    }

    async fn look(&mut self) -> Result<Now> {
        let by_gateway = |w: &Waiting| {
            w.conversation == ConversationId::World || w.message.to_members && self.must_look_up(w)
        };
        let live = match self.waiting.iter().any(by_gateway) {
            true => self.repo.live_gateways().await?,
            false => Vec::new(),
        };
        let unsure = self.waiting.iter().filter(|w| self.must_look_up(w));
        let users: HashSet<u64> = unsure.flat_map(Waiting::recipients).collect();
        let users: Vec<String> = users.iter().map(u64::to_string).collect();
        let online = self.repo.gateways_of(users.iter().map(String::as_str));
        let online = online.await?;
        let ms = clock::now_ms();
        Ok(Now {
            ms,
            live,
            rosters: self.rosters(&online, ms).await?,
            online,
        })
    }

    /// Asks who of those that would be pushed again is still a member. Nearly always nobody would
    /// be, and nothing is asked.
    async fn rosters(
        &self,
        online: &HashMap<String, Vec<String>>,
        now_ms: i64,
    ) -> Result<HashMap<ConversationId, Roster>> {
        let mut asked: HashMap<ConversationId, HashSet<u64>> = HashMap::new();
        for waiting in &self.waiting {
            if !matches!(waiting.conversation, ConversationId::Group(_)) {
                continue;
            }
            let groups = match self.must_look_up(waiting) {
                true => by_lookup(waiting, online),
                false => self.by_arrival(waiting, now_ms),
            };
            let users = groups.into_values().flatten();
            let mut users = users.peekable();
            if users.peek().is_some() {
                asked.entry(waiting.conversation).or_default().extend(users);
            }
        }
        let asked: Vec<_> = asked.into_iter().collect();
        let mut rosters = HashMap::new();
        for part in asked.chunks(LOOKUP) {
            let query = |(id, users): &(ConversationId, HashSet<u64>)| {
                let users = users.iter().map(u64::to_string);
                (id.to_string(), users.collect())
            };
            let facts = self.repo.facts_now(part.iter().map(query), 0).await?;
            let known = facts.iter().filter(|facts| facts.found);
            rosters
                .extend(known.filter_map(|f| Some((f.conversation_id.parse().ok()?, roster(f)))));
        }
        Ok(rosters)
    }

    fn must_look_up(&self, waiting: &Waiting) -> bool {
        let known = self.arrivals.is_complete_since(waiting.since());
        (waiting.message.presence_unknown || !known)
            && waiting.conversation != ConversationId::World
    }

    fn outputs(&self, waiting: &VecDeque<Waiting>, now: &Now) -> Vec<OutRecord> {
        let mut outputs = Vec::new();
        // Messages and changes apart: clients that don't know changes look for gaps in messages.
        let mut lost_sight = [None, None];
        let mut left: HashMap<(ConversationId, bool), usize> = HashMap::new();
        let kind = |waiting: &Waiting| (waiting.conversation, waiting.is_change());
        for waiting in waiting {
            *left.entry(kind(waiting)).or_default() += 1;
        }
        for waiting in waiting {
            let newer = left.entry(kind(waiting)).or_default();
            *newer -= 1;
            if *newer >= NEWEST {
                continue;
            }
            if waiting.conversation == ConversationId::World {
                self.broadcast_again(waiting, now, &mut outputs);
                let known = self.arrivals.is_complete_since(waiting.since());
                if waiting.is_late(now.ms) && !known {
                    lost_sight[usize::from(waiting.is_change())] = Some(waiting);
                }
                continue;
            }
            let groups = match self.must_look_up(waiting) {
                true => by_lookup(waiting, &now.online),
                false => self.by_arrival(waiting, now.ms),
            };
            if self.must_page(waiting, now) {
                outputs.push(self.page_again(waiting));
            }
            self.push(waiting, groups, now, &mut outputs);
        }
        // Nobody knows who came: the newest one tells everybody that something is missing.
        for newest in lost_sight.into_iter().flatten() {
            let live = now.live.iter().map(String::as_str);
            self.broadcast(newest, live, &mut outputs);
        }
        outputs
    }

    /// Recipients who came since the message was sent, by gateway. Of a group that is known by its
    /// members alone these are all who came, whose membership is asked before they are told.
    fn by_arrival(&self, waiting: &Waiting, now_ms: i64) -> Groups {
        let (since, mut groups) = (waiting.since(), Groups::new());
        if self.arrivals.is_quiet_since(since) {
            return groups;
        }
        if waiting.message.to_members {
            for (user, gateway) in self.arrivals.since(since) {
                if !waiting.is_served_by(gateway, now_ms) {
                    groups.entry(gateway.clone()).or_default().insert(user);
                }
            }
            return groups;
        }
        for user in waiting.recipients() {
            for gateway in self.arrivals.of(user, since) {
                groups.entry(gateway.clone()).or_default().insert(user);
            }
        }
        groups
    }

    /// Whether members of the group may have missed the message and it isn't known who: unless all
    /// gateways that live were served, and still remember the message for newcomers.
    fn must_page(&self, waiting: &Waiting, now: &Now) -> bool {
        let message = &waiting.message;
        let is_served = |gateway: &String| waiting.is_served_by(gateway, now.ms);
        let is_settled = !message.presence_unknown
            && !message.gateway_ids.is_empty()
            && now.live.iter().all(is_served);
        message.to_members && self.must_look_up(waiting) && !is_settled
    }

    /// A task that pushes the message to all members once more.
    fn page_again(&self, waiting: &Waiting) -> OutRecord {
        let message = &waiting.message;
        let task = FanoutTask {
            trace_id: message.trace_id.clone(),
            conversation_id: message.conversation_id.clone(),
            message_id: message.message_id,
            seq_id: message.seq_id,
            message: Some(waiting.body()),
            again: true,
            at_once: true,
            ..Default::default()
        };
        let key = message.conversation_id.clone();
        let headers = delivery::with_trace(&self.task_headers, &task.trace_id, waiting.traced);
        OutRecord::new(topics::FANOUT, key, task.encode_to_vec()).with_headers(headers)
    }

    fn broadcast_again(&self, waiting: &Waiting, now: &Now, outputs: &mut Vec<OutRecord>) {
        let served = &waiting.message.gateway_ids;
        let missed = now.live.iter().filter(|id| !served.contains(*id));
        self.broadcast(waiting, missed.map(String::as_str), outputs);
        if waiting.is_late(now.ms) {
            let mut groups = Groups::new();
            for (user, gateway) in self.arrivals.since(waiting.since()) {
                groups.entry(gateway.clone()).or_default().insert(user);
            }
            self.push(waiting, groups, now, outputs);
        }
    }

    fn broadcast<'g>(
        &self,
        waiting: &Waiting,
        gateways: impl Iterator<Item = &'g str>,
        outputs: &mut Vec<OutRecord>,
    ) {
        for topic in gateways.filter_map(|id| self.delivery.topic(id)) {
            let mut body = DownstreamMessage {
                broadcast: true,
                ..waiting.body()
            };
            let traced = waiting.traced;
            outputs.push(
                self.delivery
                    .record(topic, &mut body, Targets::NONE, traced),
            );
        }
    }

    fn push(&self, waiting: &Waiting, groups: Groups, now: &Now, outputs: &mut Vec<OutRecord>) {
        if groups.is_empty() {
            return;
        }
        let roster = waiting.roster(now);
        for (gateway, users) in groups {
            let Some(topic) = self.delivery.topic(&gateway) else {
                continue;
            };
            let intended = users.iter().filter_map(|id| UserId::new(*id));
            let audience = roster.among(intended);
            let targets = by_gateway(&audience, |_| [()]).into_values();
            for targets in targets.flat_map(|targets| targets.parts(TARGETS_MAX)) {
                outputs.push(self.delivery.record(
                    topic.clone(),
                    &mut waiting.body(),
                    targets,
                    waiting.traced,
                ));
            }
        }
    }
}

/// Targets of one record: it stays far below the largest a log takes.
const TARGETS_MAX: usize = 10_000;

type Groups = HashMap<Arc<str>, HashSet<u64>>;

fn by_lookup(waiting: &Waiting, online: &HashMap<String, Vec<String>>) -> Groups {
    let mut groups = Groups::new();
    for user in waiting.recipients() {
        for gateway in online.get(&user.to_string()).into_iter().flatten() {
            groups
                .entry(gateway.as_str().into())
                .or_default()
                .insert(user);
        }
    }
    groups
}

impl Waiting {
    fn is_change(&self) -> bool {
        self.message.change != ChangeKind::None as i32
    }

    /// From when on a session may have been too late for the fan-out, Unix milliseconds.
    fn since(&self) -> i64 {
        self.message.timestamp * 1_000 - MARGIN_MS
    }

    /// Whether who comes to this gateway while the row is written finds the message there.
    fn is_served_by(&self, gateway: &str, now_ms: i64) -> bool {
        !self.is_late(now_ms) && self.message.gateway_ids.iter().any(|id| id == gateway)
    }

    /// Gateways may have forgotten the message when somebody came.
    fn is_late(&self, now_ms: i64) -> bool {
        now_ms - self.message.timestamp * 1_000 >= REMEMBERED_MS
    }

    /// Everybody a direct push is for; in a large group, whose members are paged after the row is written, the
    /// author alone. Of a change: who made it, and the author of the message.
    fn recipients(&self) -> impl Iterator<Item = u64> {
        let pair = match self.conversation {
            ConversationId::Single(a, b) => [Some(a.get()), Some(b.get())],
            _ => [None, None],
        };
        let message = &self.message;
        let offline = message.recheck_user_ids.iter();
        let offline = offline.filter_map(|id| id.parse().ok());
        pair.into_iter()
            .flatten()
            .chain(message.sender_id.parse().ok())
            .chain(message.author_id.parse().ok())
            .chain(offline)
            .chain(message.reached_user_ids.iter().copied())
    }

    /// Who is a member when it is pushed.
    fn roster(&self, now: &Now) -> Roster {
        match self.conversation {
            ConversationId::World => Roster::world(),
            ConversationId::Single(a, b) => Roster::pair(a, b),
            // A group that wasn't found has no members any more.
            id => {
                let known = now.rosters.get(&id).cloned();
                known.unwrap_or_else(|| Roster::loaded([]))
            }
        }
    }

    fn body(&self) -> DownstreamMessage {
        let message = &self.message;
        let shown = |text: &String| match message.withheld {
            true => String::new(),
            false => text.clone(),
        };
        let kind = match self.is_change() {
            true => DownstreamKind::Change,
            false => DownstreamKind::Message,
        };
        DownstreamMessage {
            kind: kind as i32,
            trace_id: message.trace_id.clone(),
            message_id: message.message_id,
            conversation_id: message.conversation_id.clone(),
            sender_id: message.sender_id.clone(),
            sender_info: message.sender_info.clone(),
            message_type: message.message_type,
            content: shown(&message.content),
            seq_id: message.seq_id,
            client_msg_id: message.client_msg_id.clone(),
            timestamp: message.timestamp,
            extra: shown(&message.extra),
            conversation_type: self.conversation.kind() as i32,
            again: true,
            rev: message.rev,
            change: message.change,
            author_id: message.author_id.clone(),
            sent_at: message.sent_at,
            edit_count: message.edit_count,
            reactions: message.reactions.clone(),
            references: message.references.clone().map(without_excerpt),
            ..Default::default()
        }
    }
}

/// A push that comes late doesn't say what a message said that may have been changed since: whoever
/// missed the first one reads it.
fn without_excerpt(references: References) -> References {
    let reply_to = references.reply_to.map(|quoted| Quoted {
        message_type: 0,
        excerpt: String::new(),
        ..quoted
    });
    References {
        reply_to,
        ..references
    }
}
