//! Counting what a batch did: one update of the metrics per batch.

use gochat_core::ids::{ConversationKind, UserId};
use gochat_core::step::Effect;
use gochat_infra::topics;

/// Counts of one batch.
#[derive(Debug, Default)]
pub(super) struct Stats {
    consumed: u64,
    dead: u64,
    replays: u64,
    undeliverable: u64,
    sent: [u64; 3],
    /// Authors of the messages to the world chat, repeats included.
    world: Vec<UserId>,
    refused: Vec<(&'static str, u64)>,
}

impl Stats {
    pub(super) fn consumed(&mut self, records: usize) {
        self.consumed += records as u64;
    }

    /// A record for a gateway whose topic is gone.
    pub(super) fn undeliverable(&mut self) {
        self.undeliverable += 1;
    }

    pub(super) fn effect(&mut self, effect: &Effect, kind: impl FnOnce() -> ConversationKind) {
        match effect {
            Effect::Persist { .. } => {
                self.sent[kind() as usize - 1] += 1;
            }
            Effect::Deliver { .. }
            | Effect::ToMembers { .. }
            | Effect::Broadcast { .. }
            | Effect::Fanout { .. } => {}
            Effect::Ack { replay, .. } => self.replays += u64::from(*replay),
            Effect::DeadLetter { .. } => self.dead += 1,
            Effect::Nack { error, .. } => {
                let code = error.code.code();
                match self.refused.iter_mut().find(|(known, _)| *known == code) {
                    Some((_, count)) => *count += 1,
                    None => self.refused.push((code, 1)),
                }
            }
        }
    }

    /// A message of this author goes to the world chat.
    pub(super) fn world_author(&mut self, author: UserId) {
        self.world.push(author);
    }

    /// Who wrote to the world chat, once per message.
    pub(super) fn world_authors(&self) -> &[UserId] {
        &self.world
    }

    /// Publishes the counts of a step that stands.
    pub(super) fn publish(self) {
        let kinds = ["single", "group", "world"];
        for (kind, count) in kinds
            .into_iter()
            .zip(self.sent)
            .filter(|(_, count)| *count > 0)
        {
            metrics::counter!("gochat_message_send_total", "type" => kind).increment(count);
        }
        for (code, count) in self.refused {
            metrics::counter!("gochat_message_send_failures_total", "code" => code)
                .increment(count);
        }
        // What is written is counted by the log.
        if self.consumed > 0 {
            metrics::counter!(
                "gochat_kafka_messages_total",
                "topic" => topics::UPSTREAM, "direction" => "consume", "result" => "ok"
            )
            .increment(self.consumed);
        }
        if self.dead > 0 {
            metrics::counter!("gochat_dlq_total", "topic" => topics::UPSTREAM).increment(self.dead);
        }
        if self.replays > 0 {
            metrics::counter!("gochat_message_replays_total").increment(self.replays);
        }
        if self.undeliverable > 0 {
            metrics::counter!("gochat_downstream_dropped_total", "reason" => "no_such_gateway")
                .increment(self.undeliverable);
        }
    }
}
