//! Looking recipients up again once the row is written.
//!
//! A recipient without a session at fan-out time may have connected since, and its first synchronisation may have read
//! the database before the row was there. Whoever is connected *now* gets the message pushed; whoever connects later finds
//! it in history. So nobody has to wait for another message to notice this one.

use std::collections::VecDeque;

use gochat_core::ids::ConversationId;
use gochat_infra::port::mq::OutRecord;
use gochat_proto::mq::v1::{DownstreamMessage, PersistenceMessage};
use hashbrown::HashSet;

use crate::delivery::{Delivery, by_gateway};
use crate::metrics;
use crate::repo::Repo;

/// Recipients to look up, kept while presence is away.
pub(super) struct Recheck {
    repo: Repo,
    delivery: Delivery,
    waiting: VecDeque<Waiting>,
    bound: usize,
}

struct Waiting {
    body: DownstreamMessage,
    users: Vec<String>,
}

impl Recheck {
    pub(super) fn new(repo: Repo, delivery: Delivery, bound: usize) -> Self {
        Self {
            repo,
            delivery,
            waiting: VecDeque::new(),
            bound,
        }
    }

    /// Takes the messages whose recipients have to be looked up.
    pub(super) fn add(&mut self, messages: impl Iterator<Item = PersistenceMessage>) {
        let with_users = messages.filter(|message| !message.recheck_user_ids.is_empty());
        self.waiting.extend(with_users.map(Waiting::from));
        while self.waiting.len() > self.bound {
            let oldest = self.waiting.pop_front();
            metrics::dropped("recheck", oldest.map_or(0, |oldest| oldest.users.len()));
        }
    }

    /// Records for those who are connected now. While presence is away all of it keeps waiting: writing rows
    /// must not wait for that.
    pub(super) async fn run(&mut self) -> Vec<OutRecord> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let users: HashSet<&str> = self
            .waiting
            .iter()
            .flat_map(|waiting| waiting.users.iter().map(String::as_str))
            .collect();
        let online = match self.repo.gateways_of(users).await {
            Ok(online) => online,
            Err(error) => {
                tracing::warn!(%error, messages = self.waiting.len(), "recipients can't be looked up yet");
                return Vec::new();
            }
        };
        let mut outputs = Vec::new();
        for mut waiting in self.waiting.drain(..) {
            let groups = by_gateway(waiting.users.iter().map(String::as_str), &online);
            for (gateway, targets) in groups {
                let Some(topic) = self.delivery.topic(gateway) else {
                    continue;
                };
                outputs.push(self.delivery.record(topic, &mut waiting.body, targets));
            }
        }
        outputs
    }
}

impl From<PersistenceMessage> for Waiting {
    fn from(message: PersistenceMessage) -> Self {
        let kind = message
            .conversation_id
            .parse::<ConversationId>()
            .map(ConversationId::kind);
        Self {
            users: message.recheck_user_ids,
            body: DownstreamMessage {
                trace_id: message.trace_id,
                message_id: message.message_id,
                conversation_id: message.conversation_id,
                sender_id: message.sender_id,
                sender_info: message.sender_info,
                message_type: message.message_type,
                content: message.content,
                seq_id: message.seq_id,
                client_msg_id: message.client_msg_id,
                timestamp: message.timestamp,
                extra: message.extra,
                conversation_type: kind.map_or(0, |kind| kind as i32),
                ..Default::default()
            },
        }
    }
}
