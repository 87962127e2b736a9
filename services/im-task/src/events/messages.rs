//! `message.read` → authors and the reader's own devices; `message.recalled` → members.

use gochat_core::conversation::Settings;
use gochat_core::ids::{ConversationId, ConversationKind};
use gochat_core::session::frame::{MessageRead, MessageRecalled};
use gochat_core::signal::Signal;
use gochat_proto::common::v1::Conversation;
use gochat_proto::im::repo::v1::ListMessageAuthorsRequest;
use serde::Deserialize;

use super::event::Event;
use super::{Events, Failure, Reaction};

#[derive(Deserialize)]
struct Read {
    seq_id: i64,
    /// Where the pointer stood before; events of older senders don't say.
    #[serde(default)]
    previous_seq_id: i64,
    #[serde(default)]
    read_at: i64,
}

#[derive(Deserialize)]
struct Recalled {
    message_id: i64,
    #[serde(default)]
    seq_id: i64,
}

impl Events {
    pub(super) async fn read(&self, event: &Event) -> Reaction {
        let read: Read = event.payload()?;
        if read.seq_id <= read.previous_seq_id {
            return Ok(());
        }
        let payload = MessageRead {
            conversation_id: event.conversation_id.as_str().into(),
            user_id: event.operator_id.as_str().into(),
            seq_id: read.seq_id.unsigned_abs(),
            read_at: if read.read_at == 0 {
                event.timestamp
            } else {
                read.read_at
            },
        };
        let mut users = self.authors(event, &read).await?;
        users.retain(|user| *user != event.operator_id);
        // The reader's other devices follow.
        users.push(event.operator_id.clone());
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        self.tell(event, Signal::MessageReceiptUpdated, &payload, &users)
            .await
    }

    /// Whose messages were read: the peer, or in a group that is small enough whoever wrote in the range.
    async fn authors(&self, event: &Event, read: &Read) -> Result<Vec<String>, Failure> {
        let Ok(id) = event.conversation_id.parse::<ConversationId>() else {
            return Err(Failure::Never("names no conversation".to_owned()));
        };
        if id == ConversationId::World {
            return Ok(Vec::new());
        }
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(Vec::new());
        };
        if let ConversationId::Single(..) = id {
            let reader = event.operator_id.parse().ok();
            let peer = reader.and_then(|reader| id.peer_of(reader));
            let shown = shows_read_status(&conversation);
            return Ok(peer
                .filter(|_| shown)
                .map(|peer| peer.to_string())
                .into_iter()
                .collect());
        }
        if conversation.member_count > self.config.receipt_members_max {
            return Ok(Vec::new());
        }
        let request = ListMessageAuthorsRequest {
            conversation_id: event.conversation_id.clone(),
            after_seq_id: read.previous_seq_id,
            up_to_seq_id: read.seq_id,
            limit: self.config.receipt_authors_max,
        };
        Ok(self.repo.authors(request).await?.user_ids)
    }

    pub(super) async fn recalled(&self, event: &Event) -> Reaction {
        let recalled: Recalled = event.payload()?;
        let message_id = recalled.message_id.to_string();
        let payload = MessageRecalled {
            conversation_id: event.conversation_id.as_str().into(),
            message_id: message_id.into(),
            seq_id: recalled.seq_id.unsigned_abs(),
            operator_id: event.operator_id.as_str().into(),
        };
        self.tell_members(
            event,
            Signal::MessageRecalled,
            &payload,
            &event.conversation_id,
        )
        .await
    }
}

/// Settings that can't be read are the defaults.
fn shows_read_status(conversation: &Conversation) -> bool {
    match Settings::parse(ConversationKind::Single, &conversation.settings) {
        Ok(Settings::Single(settings)) => settings.show_read_status,
        _ => true,
    }
}
