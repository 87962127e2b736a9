//! One batch of one partition: decoded records, and what becomes of their effects.

use std::sync::Arc;
use std::time::SystemTime;

use gochat_core::fanout::{GatewayIx, Presence, PresenceMap};
use gochat_core::ids::{ConversationId, ConversationKind, UserId};
use gochat_core::message::DraftLimits;
use gochat_core::step::{Effect, Effects, Record, Sender, View};
use gochat_infra::port::mq::{Batch, Headers, Mq, OutRecord};
use hashbrown::HashSet;

use super::decode::{self, Place, Upstream};
use super::encode::{Encoder, Given, Source};
use super::gateways::Gateways;
use super::lookup::Resend;
use super::people::People;
use super::spans::Spans;
use super::stats::Stats;

/// A batch and its records as the step sees them.
pub(super) struct Decoded<'a> {
    pub(super) batch: &'a Batch,
    messages: Vec<Option<Upstream<'a>>>,
    /// Taken by the machine.
    pub(super) records: Vec<Record>,
    /// Some message goes to the world chat.
    pub(super) world: bool,
    /// Of its sampled messages.
    pub(super) spans: Spans,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(
        batch: &'a Batch,
        partitions: u32,
        limits: &DraftLimits,
        gateways: &mut Gateways,
        came_at: SystemTime,
    ) -> Self {
        let place = Place {
            partition: batch.tp.partition,
            partitions,
        };
        let read =
            |record: &'a gochat_infra::port::mq::InRecord| Upstream::decode(&record.record.value);
        let messages: Vec<_> = batch.records.iter().map(read).collect();
        let judge = |message: &Option<Upstream<'_>>| {
            decode::record(message.as_ref(), place, limits, |name| {
                gateways.intern(name)
            })
        };
        let records: Vec<_> = messages.iter().map(judge).collect();
        let to_world =
            |r: &Record| matches!(r, Record::Submit(s) if s.conversation == ConversationId::World);
        let world = records.iter().any(to_world);
        Self {
            batch,
            messages,
            records,
            world,
            spans: Spans::begin(batch, came_at),
        }
    }

    /// What identifies the message at this place, which may be a repeat.
    pub(super) fn resend(&self, at: usize) -> Option<Resend<'a>> {
        let message = self.messages.get(at)?.as_ref()?;
        Some(Resend {
            key: message.key()?,
            client_msg_id: message.client_msg_id,
            is_change: message.is_change(),
        })
    }

    /// Authors of the batch, repeats included.
    pub(super) fn authors(&self) -> impl Iterator<Item = UserId> {
        self.records.iter().filter_map(|record| match record {
            Record::Submit(submission) => Some(submission.sender()),
            _ => None,
        })
    }
}

/// What was found out about the users of the batch.
pub(super) struct Looked<'a> {
    pub(super) presence: &'a PresenceMap,
    pub(super) people: &'a People,
    /// Authors that don't exist.
    pub(super) missing: &'a HashSet<UserId>,
}

impl Presence for Looked<'_> {
    fn gateways_of(&self, user: UserId) -> Option<&[GatewayIx]> {
        self.presence.gateways_of(user)
    }
}

impl View for Looked<'_> {
    fn sender(&self, user: UserId) -> Sender {
        match self.people.find(user) {
            Some(person) => person.sender(),
            None if self.missing.contains(&user) => Sender::Missing,
            None => Sender::Unknown,
        }
    }
}

/// Turns effects into records.
pub(super) struct Writer<'a> {
    pub(super) encoder: &'a mut Encoder,
    pub(super) gateways: &'a mut Gateways,
    pub(super) people: &'a People,
    pub(super) mq: &'a dyn Mq,
    pub(super) stats: &'a mut Stats,
    pub(super) now_secs: u64,
}

impl Writer<'_> {
    /// Appends the records of one partition's effects.
    pub(super) fn write(
        &mut self,
        decoded: &mut Decoded<'_>,
        effects: &Effects,
        out: &mut Vec<OutRecord>,
    ) {
        self.encoder.begin();
        let (batch, spans) = (decoded.batch, &mut decoded.spans);
        // Effects come grouped by record: the author is looked up once per message.
        let (mut current, mut author, mut headers) = (usize::MAX, None, Headers::none());
        for effect in &effects.list {
            let at = effect.record();
            let record = &batch.records[at];
            let Some(message) = &decoded.messages[at] else {
                self.stats.effect(effect, || ConversationKind::Single);
                out.extend(self.dead_letter(batch, effect));
                continue;
            };
            self.stats.effect(effect, || kind(message));
            if let Effect::Persist { message: given, .. } = effect {
                spans.sequenced(kind(message), given);
            }
            if matches!(effect, Effect::Persist { .. })
                && kind(message) == ConversationKind::World
                && let Ok(author) = message.user_id.parse()
            {
                self.stats.world_author(author);
            }
            if at != current {
                let id = message.user_id.parse().ok();
                author = id
                    .and_then(|id| self.people.find(id))
                    .map(|person| &*person.info);
                headers = spans.headers(at);
                current = at;
            }
            let source = Source {
                record,
                message,
                author,
                headers: &headers,
            };
            match self.record(&source, batch, effect, effects) {
                Some(record) => out.push(record),
                None => self.stats.undeliverable(),
            }
        }
    }

    /// `None` when the gateway's topic is gone.
    fn record(
        &mut self,
        source: &Source<'_>,
        batch: &Batch,
        effect: &Effect,
        effects: &Effects,
    ) -> Option<OutRecord> {
        Some(match effect {
            Effect::Persist {
                message,
                changed,
                referred,
                withheld,
                later,
            } => {
                let world = kind(source.message) == ConversationKind::World;
                let to_all = world || later.listed;
                let gateways = to_all.then_some(&*self.gateways);
                let given = Given {
                    message,
                    changed: changed.as_deref(),
                    referred: referred.as_deref(),
                    withheld: *withheld,
                };
                self.encoder
                    .persist(source, given, later, gateways, effects)
            }
            Effect::Deliver {
                gateway,
                to_origin,
                targets,
                ..
            } => {
                let topic = self.topic(*gateway)?;
                self.encoder
                    .deliver(source, topic, *to_origin, targets, effects)
            }
            Effect::ToMembers {
                gateway,
                to_origin,
                members,
                ..
            } => {
                let topic = self.topic(*gateway)?;
                self.encoder
                    .list(source, topic, *to_origin, members, effects)
            }
            Effect::Broadcast {
                gateway, to_origin, ..
            } => {
                let topic = self.topic(*gateway)?;
                self.encoder.broadcast(source, topic, *to_origin)
            }
            Effect::Fanout { message } => self.encoder.fanout(source, message),
            Effect::Ack {
                message,
                gateway,
                replay,
            } => {
                let topic = self.topic(*gateway)?;
                self.encoder.ack(source, topic, message, *replay)
            }
            Effect::Nack { gateway, error, .. } => {
                let topic = self.topic(*gateway)?;
                self.encoder.nack(source, topic, error)
            }
            Effect::DeadLetter { .. } => return self.dead_letter(batch, effect),
        })
    }

    fn dead_letter(&mut self, batch: &Batch, effect: &Effect) -> Option<OutRecord> {
        let Effect::DeadLetter { record, reason } = effect else {
            return None;
        };
        let (partition, record) = (batch.tp.partition, &batch.records[*record]);
        tracing::warn!(
            partition,
            offset = record.offset,
            reason,
            "record moved to the dead letters"
        );
        Some(
            self.encoder
                .dead_letter(record, partition, reason, self.now_secs),
        )
    }

    fn topic(&mut self, gateway: GatewayIx) -> Option<Arc<str>> {
        self.gateways.topic(gateway, self.mq)
    }
}

fn kind(message: &Upstream<'_>) -> ConversationKind {
    match message.conversation_id.as_bytes().first() {
        Some(b's') => ConversationKind::Single,
        Some(b'g') => ConversationKind::Group,
        _ => ConversationKind::World,
    }
}
