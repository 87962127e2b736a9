//! The second look: recipients who had no session when a message was fanned out.
//!
//! A client that connected between fan-out and the row being written has synchronised a history without that row. By
//! now the row is there, so whoever registers from here on reads it; whoever registered before is found here.

use std::collections::HashMap;
use std::sync::Arc;

use gochat_core::ids::ConversationId;
use gochat_infra::port::mq::{MqErrorKind, OutRecord, Producer};
use gochat_infra::rpc::Backoff;
use gochat_infra::topics;
use gochat_proto::mq::v1::{DownstreamMessage, PersistenceMessage};
use prost::Message as _;

use crate::repo::Repo;

/// Tries before a push is given up: presence may be away, and history must not wait for it.
const ATTEMPTS: u32 = 3;

/// Looks recipients up again and pushes to those who came.
pub(crate) struct Recheck {
    pub(crate) repo: Repo,
    pub(crate) producer: Arc<dyn Producer>,
}

impl Recheck {
    /// Pushes each message to those of its `recheck_user_ids` who are online now. Failing for good is logged: the
    /// client repairs it with its next synchronisation.
    pub(crate) async fn push_to_newcomers(&self, messages: Vec<PersistenceMessage>) {
        if messages.is_empty() {
            return;
        }
        let mut users: Vec<String> = messages.iter().flat_map(|m| m.recheck_user_ids.iter().cloned()).collect();
        users.sort_unstable();
        users.dedup();
        let Some(gateways) = self.gateways_of(&users).await else { return };
        if gateways.is_empty() {
            return;
        }
        let records = messages.into_iter().flat_map(|m| downstream(m, &gateways)).collect::<Vec<_>>();
        if !records.is_empty() {
            deliver(self.producer.as_ref(), records).await;
        }
    }

    async fn gateways_of(&self, users: &[String]) -> Option<HashMap<String, Vec<String>>> {
        let mut backoff = Backoff::default();
        for attempt in 1.. {
            match self.repo.online(users).await {
                Ok(online) => return Some(online.into_iter().map(|s| (s.user_id, s.gateway_ids)).collect()),
                Err(error) if attempt == ATTEMPTS => {
                    tracing::warn!(%error, "presence is away; newcomers will synchronise");
                    break;
                }
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
        None
    }
}

fn downstream(message: PersistenceMessage, gateways: &HashMap<String, Vec<String>>) -> Vec<OutRecord> {
    let mut targets: HashMap<&str, Vec<String>> = HashMap::new();
    for user in &message.recheck_user_ids {
        for gateway in gateways.get(user).into_iter().flatten() {
            targets.entry(gateway).or_default().push(user.clone());
        }
    }
    let kind = message.conversation_id.parse::<ConversationId>().map_or(0, |id| id.kind() as i32);
    let record = |(gateway, target_user_ids): (&str, Vec<String>)| {
        let push = DownstreamMessage {
            trace_id: message.trace_id.clone(),
            message_id: message.message_id,
            conversation_id: message.conversation_id.clone(),
            sender_id: message.sender_id.clone(),
            sender_info: message.sender_info.clone(),
            message_type: message.message_type,
            content: message.content.clone(),
            seq_id: message.seq_id,
            client_msg_id: message.client_msg_id.clone(),
            timestamp: message.timestamp,
            extra: message.extra.clone(),
            conversation_type: kind,
            target_user_ids,
            ..Default::default()
        };
        OutRecord::new(topics::downstream(gateway), message.conversation_id.clone(), push.encode_to_vec())
    };
    targets.into_iter().map(record).collect()
}

/// Writes pushes. A gateway whose topic is gone has no sockets; anything else is logged, since pushes may be lost.
pub(crate) async fn deliver(producer: &dyn Producer, records: Vec<OutRecord>) {
    let Err(first) = producer.send(records.clone()).await else { return };
    if first.kind != MqErrorKind::UnknownTopic {
        return tracing::warn!(error = %first, "pushes were lost; clients repair by sequence");
    }
    // One gateway of the batch is gone: the others get theirs one by one.
    for record in records {
        if let Err(error) = producer.send(vec![record]).await
            && error.kind != MqErrorKind::UnknownTopic
        {
            tracing::warn!(%error, "a push was lost; the client repairs by sequence");
        }
    }
}
