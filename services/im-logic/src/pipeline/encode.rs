//! From effects to records.
//!
//! The body of a message is encoded once; each gateway's record is that body plus its targets.
//! Protobuf merges what is concatenated, so the order of fields is free.

use std::sync::Arc;

use bytes::Bytes;
use gochat_core::error::Error;
use gochat_core::ids::ConversationKind;
use gochat_core::message::QuoteState;
use gochat_core::message::Tally;
use gochat_core::step::{Changed, Effects, Later, Quoted, Referred, Sequenced, Users};
use gochat_infra::port::mq::{Headers, InRecord, MAX_RECORD_BYTES, OutRecord, Record};
use gochat_infra::topics;
use gochat_proto::mq::v1::DownstreamKind;
use hashbrown::HashMap;

use super::decode::Upstream;
use super::gateways::Gateways;
use super::wire::{put_bytes, put_decimal, put_fixed, put_number};

/// Tags that differ between the payloads.
const RECHECK_USER_IDS: u32 = 12;
const TARGET_USER_IDS: u32 = 13;
const MEMBER_IDS: u32 = 23;

/// Lists at least this long are encoded once per batch and reused by other messages.
const SHARED_LIST: usize = 8;

/// Makes the records of one batch; keeps its buffers from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Body of the message in hand, without targets.
    body: Vec<u8>,
    /// What that message refers to.
    references: Vec<u8>,
    scratch: Vec<u8>,
    /// Encoded user lists by tag and start of their range.
    lists: HashMap<(u32, usize), std::ops::Range<usize>>,
    arena: Vec<u8>,
    topics: Topics,
}

/// Names of topics, made once.
#[derive(Debug)]
struct Topics {
    persist: Arc<str>,
    fanout: Arc<str>,
    dead_letters: Arc<str>,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            persist: topics::PERSIST.into(),
            fanout: topics::FANOUT.into(),
            dead_letters: topics::dead_letters(topics::LOGIC_UPSTREAM_GROUP),
        }
    }
}

/// A message on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The record it came in.
    pub(super) record: &'a InRecord,
    /// Its fields.
    pub(super) message: &'a Upstream<'a>,
    /// Encoded `UserInfo` of the author, when it is known.
    pub(super) author: Option<&'a [u8]>,
    /// What records made of it carry: nothing, unless it is traced.
    pub(super) headers: &'a Headers,
}

/// What a message or a change was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) message: &'a Sequenced,
    /// Of a change: what it makes of its message.
    pub(super) changed: Option<&'a Changed>,
    /// Of a message: what it refers to.
    pub(super) referred: Option<&'a Referred>,
    /// What it says is stored and not pushed.
    pub(super) withheld: bool,
}

impl Given<'_> {
    /// Appends what only changes have; the fields stand together, from `tag` on.
    fn put_change(&self, out: &mut Vec<u8>, tag: u32, m: &Upstream<'_>) {
        if let Some(Changed { state, .. }) = self.changed {
            let after = &state.target;
            put_number(out, tag, m.change as u64);
            put_decimal(out, tag + 1, after.author.get());
            put_number(out, tag + 2, after.sent_at / 1000);
            put_number(out, tag + 3, u64::from(after.edits));
        }
    }

    /// Appends the state after a change, as far as it is stored and a new owner needs it.
    fn put_state(&self, out: &mut Vec<u8>) {
        let Some(Changed { kind, state, .. }) = self.changed else {
            return;
        };
        put_tally(out, 23, &state.target.reactions);
        put_number(out, 24, u64::from(state.target.pinned));
        for emoji in &state.own {
            put_bytes(out, 25, emoji.as_str().as_bytes());
        }
        if kind.moves_pins() {
            put_number(out, 26, u64::from(state.pins));
        }
    }
}

/// Appends the fields of `References`: what was judged, and the origin of a message that was passed
/// on, as a server wrote it.
fn put_references(inner: &mut Vec<u8>, referred: Option<&Referred>, m: &Upstream<'_>) {
    if let Some(Referred {
        reply,
        mentions,
        mention_all,
    }) = referred
    {
        if let Some(quoted) = reply {
            put_quoted(inner, 1, quoted);
        }
        put_fixed(inner, 2, mentions.iter().map(|user| user.get()));
        put_number(inner, 3, u64::from(*mention_all));
    }
    put_bytes(inner, 4, m.forwarded);
}

fn put_quoted(out: &mut Vec<u8>, tag: u32, quoted: &Quoted) {
    let mut inner = Vec::with_capacity(48 + quoted.excerpt.len());
    put_number(&mut inner, 1, quoted.reply.id.get());
    put_number(&mut inner, 2, quoted.reply.seq);
    put_decimal(&mut inner, 3, quoted.reply.by.get());
    put_number(&mut inner, 4, u64::from(quoted.kind.unsigned_abs()));
    put_bytes(&mut inner, 5, quoted.excerpt.as_bytes());
    put_number(&mut inner, 6, u64::from(quoted.state == QuoteState::Edited));
    put_number(
        &mut inner,
        7,
        u64::from(quoted.state == QuoteState::Recalled),
    );
    put_bytes(out, tag, &inner);
}

/// Appends a list of `ReactionCount`.
fn put_tally(out: &mut Vec<u8>, tag: u32, tally: &Tally) {
    let mut count = Vec::new();
    for (emoji, users) in tally.counts() {
        count.clear();
        put_bytes(&mut count, 1, emoji.as_str().as_bytes());
        put_number(&mut count, 2, u64::from(*users));
        put_bytes(out, tag, &count);
    }
}

impl Source<'_> {
    fn out(&self, topic: Arc<str>, value: Vec<u8>) -> OutRecord {
        let record = Record {
            headers: self.headers.clone(),
            ..Record::new(self.record.record.key.clone(), value)
        };
        OutRecord {
            topic,
            partition: None,
            record,
        }
    }
}

impl Encoder {
    /// Forgets what belonged to the batch before.
    pub(super) fn begin(&mut self) {
        self.lists.clear();
        self.arena.clear();
    }

    /// `PersistenceMessage`; also prepares the body that the records after it share.
    pub(super) fn persist(
        &mut self,
        source: &Source<'_>,
        given: Given<'_>,
        later: &Later,
        broadcast_to: Option<&Gateways>,
        effects: &Effects,
    ) -> OutRecord {
        self.prepare_body(source, given);
        let message = given.message;
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let m = source.message;
        put_bytes(&mut out, 1, m.trace_id.as_bytes());
        put_number(&mut out, 2, message.message_id.get());
        put_bytes(&mut out, 3, m.conversation_id.as_bytes());
        put_bytes(&mut out, 4, m.user_id.as_bytes());
        put_bytes(&mut out, 5, source.author.unwrap_or_default());
        // Writers that don't know changes refuse a message without a type.
        let message_type = if m.is_change() { 0 } else { m.message_type };
        put_number(&mut out, 6, message_type as u64);
        put_bytes(&mut out, 7, m.content.as_bytes());
        put_number(&mut out, 8, message.seq);
        put_bytes(&mut out, 9, m.client_msg_id.as_bytes());
        put_number(&mut out, 10, message.at / 1000);
        put_bytes(&mut out, 11, m.extra.as_bytes());
        self.put_users(&mut out, RECHECK_USER_IDS, &later.recheck, effects);
        let reached = effects.users(&later.reached).iter().map(|user| user.get());
        put_fixed(&mut out, 13, reached);
        for name in broadcast_to.into_iter().flat_map(Gateways::live_names) {
            put_bytes(&mut out, 14, name.as_bytes());
        }
        put_number(&mut out, 15, u64::from(later.unknown));
        put_number(&mut out, 16, u64::from(later.members));
        put_number(&mut out, 17, message.rev);
        given.put_change(&mut out, 18, m);
        put_number(&mut out, 22, u64::from(given.withheld));
        given.put_state(&mut out);
        put_bytes(&mut out, 27, &self.references);
        let keeps_former = given.changed.is_some_and(|changed| changed.keeps_former);
        put_number(&mut out, 40, u64::from(keeps_former));
        let tells = given.changed.is_some_and(|changed| changed.tells);
        put_number(&mut out, 41, u64::from(tells));
        let value = out.as_slice().to_vec();
        self.scratch = out;
        source.out(self.topics.persist.clone(), value)
    }

    /// The part of `DownstreamMessage` that is the same for every gateway.
    fn prepare_body(&mut self, source: &Source<'_>, given: Given<'_>) {
        let (out, m, message) = (&mut self.body, source.message, given.message);
        out.clear();
        put_bytes(out, 1, m.trace_id.as_bytes());
        put_number(out, 3, message.message_id.get());
        put_bytes(out, 4, m.conversation_id.as_bytes());
        put_bytes(out, 5, m.user_id.as_bytes());
        put_bytes(out, 6, source.author.unwrap_or_default());
        if given.changed.is_none() {
            put_number(out, 7, m.message_type as u64);
        } else {
            put_number(out, 16, DownstreamKind::Change as u64);
        }
        if !given.withheld {
            put_bytes(out, 8, m.content.as_bytes());
            put_bytes(out, 12, m.extra.as_bytes());
        }
        put_number(out, 9, message.seq);
        put_bytes(out, 10, m.client_msg_id.as_bytes());
        put_number(out, 11, message.at / 1000);
        put_number(out, 19, kind_of(m.conversation_id) as u64);
        put_number(out, 24, message.rev);
        given.put_change(out, 25, m);
        if let Some(changed) = given.changed {
            put_tally(out, 29, &changed.state.target.reactions);
        }
        self.references.clear();
        put_references(&mut self.references, given.referred, m);
        put_bytes(out, 30, &self.references);
    }

    /// The prepared body for users of one gateway.
    pub(super) fn deliver(
        &mut self,
        source: &Source<'_>,
        topic: Arc<str>,
        to_origin: bool,
        targets: &Users,
        effects: &Effects,
    ) -> OutRecord {
        let mut out = Vec::with_capacity(self.body.len() + 24 * targets.len() + 64);
        out.extend_from_slice(&self.body);
        self.put_users(&mut out, TARGET_USER_IDS, targets, effects);
        if to_origin {
            put_origin(&mut out, source.message);
        }
        source.out(topic, out)
    }

    /// The prepared body for those members of the group who are on one gateway.
    pub(super) fn list(
        &mut self,
        source: &Source<'_>,
        topic: Arc<str>,
        to_origin: bool,
        members: &Users,
        effects: &Effects,
    ) -> OutRecord {
        let mut out = Vec::with_capacity(self.body.len() + 8 * members.len() + 96);
        out.extend_from_slice(&self.body);
        let members = effects.users(members).iter().map(|user| user.get());
        put_fixed(&mut out, MEMBER_IDS, members);
        if to_origin {
            put_origin(&mut out, source.message);
        }
        source.out(topic, out)
    }

    /// The prepared body for everybody on one gateway.
    pub(super) fn broadcast(
        &mut self,
        source: &Source<'_>,
        topic: Arc<str>,
        to_origin: bool,
    ) -> OutRecord {
        let mut out = Vec::with_capacity(self.body.len() + 64);
        out.extend_from_slice(&self.body);
        put_number(&mut out, 14, 1);
        if to_origin {
            put_origin(&mut out, source.message);
        }
        source.out(topic, out)
    }

    /// `FanoutTask` with the prepared body; the author is served already.
    pub(super) fn fanout(&mut self, source: &Source<'_>, message: &Sequenced) -> OutRecord {
        let m = source.message;
        let mut out = Vec::with_capacity(self.body.len() + 96);
        put_bytes(&mut out, 1, m.trace_id.as_bytes());
        put_bytes(&mut out, 2, m.conversation_id.as_bytes());
        put_number(&mut out, 3, message.message_id.get());
        put_bytes(&mut out, 4, m.user_id.as_bytes());
        put_bytes(&mut out, 6, &self.body);
        put_number(&mut out, 7, message.seq);
        put_number(&mut out, 10, 1);
        source.out(self.topics.fanout.clone(), out)
    }

    /// An ack for the origin alone. Who waits by trace id wants to show the author and what the
    /// message refers to, too.
    pub(super) fn ack(
        &mut self,
        source: &Source<'_>,
        topic: Arc<str>,
        message: &Sequenced,
        replay: bool,
    ) -> OutRecord {
        let mut out = answer(source, DownstreamKind::Ack);
        put_number(&mut out, 22, u64::from(replay));
        put_number(&mut out, 3, message.message_id.get());
        put_number(&mut out, 9, message.seq);
        put_number(&mut out, 11, message.at / 1000);
        put_number(&mut out, 24, message.rev);
        if source.message.is_change() {
            put_number(&mut out, 25, source.message.change as u64);
        }
        if source.message.conn_id == 0 {
            put_bytes(&mut out, 6, source.author.unwrap_or_default());
            if !replay {
                put_bytes(&mut out, 30, &self.references);
            }
        }
        source.out(topic, out)
    }

    /// A refusal for the origin alone.
    pub(super) fn nack(
        &mut self,
        source: &Source<'_>,
        topic: Arc<str>,
        error: &Error,
    ) -> OutRecord {
        let mut out = answer(source, DownstreamKind::Error);
        let inner = &mut self.scratch;
        inner.clear();
        put_bytes(inner, 1, error.code.code().as_bytes());
        put_bytes(inner, 2, error.message.as_bytes());
        put_number(inner, 3, u64::from(error.is_retryable()));
        put_number(inner, 4, u64::from(error.retry_after_ms));
        put_bytes(&mut out, 17, inner);
        source.out(topic, out)
    }

    /// A record nobody can handle, for the operator.
    pub(super) fn dead_letter(
        &mut self,
        record: &InRecord,
        partition: u32,
        reason: &'static str,
        now_secs: u64,
    ) -> OutRecord {
        let mut headers: Headers = record.record.headers.clone();
        headers = headers
            .with(
                "X-DLQ-Topic",
                Bytes::from_static(topics::UPSTREAM.as_bytes()),
            )
            .with("X-DLQ-Partition", partition.to_string())
            .with("X-DLQ-Offset", record.offset.to_string())
            .with("X-DLQ-Error", Bytes::from_static(reason.as_bytes()))
            .with("X-DLQ-Attempts", Bytes::from_static(b"1"))
            .with("X-DLQ-Time", now_secs.to_string());
        let mut value = record.record.value.clone();
        // The headers may have pushed a record of the largest size over the bound.
        let room = MAX_RECORD_BYTES.saturating_sub(headers.size() + record.record.key.len());
        if value.len() > room {
            headers = headers.with("X-DLQ-Truncated", Bytes::from_static(b"1"));
            value.truncate(room.saturating_sub(16));
        }
        let record = Record {
            key: record.record.key.clone(),
            value,
            headers,
        };
        OutRecord {
            topic: self.topics.dead_letters.clone(),
            partition: None,
            record,
        }
    }

    fn put_users(&mut self, out: &mut Vec<u8>, tag: u32, range: &Users, effects: &Effects) {
        let users = effects.users(range);
        if users.len() < SHARED_LIST {
            users
                .iter()
                .for_each(|user| put_decimal(out, tag, user.get()));
            return;
        }
        let arena = &mut self.arena;
        let encoded = self.lists.entry((tag, range.start)).or_insert_with(|| {
            let start = arena.len();
            users
                .iter()
                .for_each(|user| put_decimal(arena, tag, user.get()));
            start..arena.len()
        });
        out.extend_from_slice(&self.arena[encoded.clone()]);
    }
}

/// What every answer to the origin alone begins with.
fn answer(source: &Source<'_>, kind: DownstreamKind) -> Vec<u8> {
    let m = source.message;
    let mut out = Vec::with_capacity(224);
    put_bytes(&mut out, 1, m.trace_id.as_bytes());
    put_bytes(&mut out, 4, m.conversation_id.as_bytes());
    put_bytes(&mut out, 5, m.user_id.as_bytes());
    put_bytes(&mut out, 10, m.client_msg_id.as_bytes());
    put_number(&mut out, 16, kind as u64);
    put_number(&mut out, 19, kind_of(m.conversation_id) as u64);
    put_origin(&mut out, m);
    out
}

/// Field `origin`: who gets the ack.
fn put_origin(out: &mut Vec<u8>, m: &Upstream<'_>) {
    let mut inner = Vec::with_capacity(72);
    put_bytes(&mut inner, 1, m.user_id.as_bytes());
    put_number(&mut inner, 2, m.conn_id);
    put_bytes(&mut inner, 3, m.trace_id.as_bytes());
    put_bytes(out, 18, &inner);
}

/// The kind, from the first letter of an id that was checked before.
fn kind_of(conversation_id: &str) -> ConversationKind {
    match conversation_id.as_bytes().first() {
        Some(b's') => ConversationKind::Single,
        Some(b'g') => ConversationKind::Group,
        _ => ConversationKind::World,
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
