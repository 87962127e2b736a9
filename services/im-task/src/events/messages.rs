//! `message.read` → authors and the reader's own devices; `message.recalled` → members.

use gochat_core::audience::Audience;
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::receipt;
use gochat_core::session::frame::{MessageRead, MessageRecalled};
use gochat_core::signal::Signal;
use gochat_proto::im::repo::v1::ListMessageAuthorsRequest;
use serde::Deserialize;

use super::event::Event;
use super::{Events, Failure, Reaction};
use crate::repo::roster;

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
        let audience = self.readers(event, &read).await?;
        self.tell(event, Signal::MessageReceiptUpdated, &payload, &audience)
            .await
    }

    /// The reader's own devices, and whose messages were read: the peer, or in a group that is
    /// small enough whoever wrote in the range. Only those who are members now: people who wrote
    /// and are gone hear nothing, and of a pair that is blocked nobody hears of the other.
    async fn readers(&self, event: &Event, read: &Read) -> Result<Audience, Failure> {
        let (Ok(id), Ok(reader)) = (
            event.conversation_id.parse::<ConversationId>(),
            event.operator_id.parse::<UserId>(),
        ) else {
            return Err(Failure::Never(
                "names no conversation or no user".to_owned(),
            ));
        };
        let own = Audience::own(reader);
        if id == ConversationId::World {
            return Ok(own);
        }
        let max = self.config.receipt_members_max;
        let asked = [(
            event.conversation_id.clone(),
            vec![event.operator_id.clone()],
        )];
        let facts = self.repo.facts_now(asked, max).await?;
        let Some(facts) = facts.first().filter(|f| f.found && !f.dissolved) else {
            return Ok(Audience::NOBODY);
        };
        let roster = roster(facts);
        let own = roster.among([reader]);
        if let ConversationId::Single(..) = id {
            let peer = id.peer_of(reader);
            let shown = peer.filter(|_| receipt::are_shown(&facts.settings, facts.blocked));
            return Ok(own.and(roster.among(shown)));
        }
        if !facts.members_complete || own.is_empty() {
            return Ok(own);
        }
        let request = ListMessageAuthorsRequest {
            conversation_id: event.conversation_id.clone(),
            after_seq_id: read.previous_seq_id,
            up_to_seq_id: read.seq_id,
            limit: self.config.receipt_authors_max,
        };
        let authors = self.repo.authors(request).await?.user_ids;
        let authors = authors.iter().filter_map(|id| id.parse().ok());
        Ok(own.and(roster.among(authors)))
    }

    pub(super) async fn recalled(&self, event: &Event) -> Reaction {
        let recalled: Recalled = event.payload()?;
        let message_id = recalled.message_id.to_string();
        let payload = MessageRecalled {
            conversation_id: event.conversation_id.as_str().into(),
            message_id: message_id.into(),
            seq_id: recalled.seq_id.unsigned_abs(),
            // Such an event comes from an im-logic that knows no changes.
            rev: 0,
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
