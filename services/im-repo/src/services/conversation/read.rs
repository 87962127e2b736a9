//! Read pointers and unread counts: sequence arithmetic, never a count of rows.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::own_state::{self, Sight};
use gochat_core::receipt::{self, MemberPointer};
use gochat_infra::port::db::{
    AnnouncementReads, Direction, FactsOf, FactsRequest, MAX_MEMBER_PAGE, RangeQuery, ReadOutcome,
};
use gochat_proto::common::v1::{self as common, OwnState};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

/// What became of a pointer that was to be moved to `asked`.
pub(super) fn moved(moved: &ReadOutcome, asked: SeqId) -> UpdateReadPointerResponse {
    UpdateReadPointerResponse {
        my: None,
        success: moved.pointer >= asked,
        unread_count: convert::wide(moved.unread),
        last_read_seq_id: convert::wide(moved.pointer),
        previous_read_seq_id: convert::wide(moved.previous),
        changed: moved.changed,
    }
}

impl ConversationApi {
    /// Moves the pointer forward only. Two devices that report at once end at the larger
    /// number, whatever the order.
    pub(super) async fn update_read_pointer(
        &self,
        request: UpdateReadPointerRequest,
    ) -> Result<UpdateReadPointerResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let seq = args::seq(request.seq_id, "seq_id")?;
        let now = self.shared.now();
        let moved = self
            .shared
            .db
            .advance_pointer(user, id, seq, now)
            .await
            .map_err(failed)?;
        let my = match moved.unmarked {
            true => Some(self.own_state(id, user).await?),
            false => None,
        };
        Ok(UpdateReadPointerResponse {
            my,
            ..self::moved(&moved, seq)
        })
    }

    pub(super) async fn get_read_pointer(
        &self,
        request: GetReadPointerRequest,
    ) -> Result<GetReadPointerResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let stored = self.shared.db.pointer(user, id).await.map_err(failed)?;
        let (seq, at) = stored.unwrap_or_default();
        let pointer = ReadPointer {
            user_id: request.user_id,
            conversation_id: request.conversation_id,
            last_read_seq_id: convert::wide(seq),
            updated_at: convert::seconds(at),
        };
        let peer = id.peer_of(user).filter(|_| request.with_peer);
        let peer = match peer {
            Some(peer) => self.shown_pointer(id, peer).await?,
            None => None,
        };
        let my = match request.with_own_state {
            true => Some(self.shared.db.own_state(user, id).await.map_err(failed)?),
            false => None,
        };
        let newest = args::seq(request.last_seq_id, "last_seq_id")?;
        let last_message = match &my {
            Some(my) if newest > 0 => self.last_message(id, newest, user, my).await?,
            _ => None,
        };
        // Who never opened the world chat has missed nothing in it.
        let has_begun = stored.is_some() || id != ConversationId::World;
        let mentions = match request.with_own_state && has_begun {
            true => self.unread_mentions(id, user, seq).await?,
            false => 0,
        };
        let version = args::seq(request.announcement_version, "announcement_version")?;
        let announcement = match version {
            0 => AnnouncementReads::default(),
            of => {
                let reads = self.shared.db.announcement_reads(id, user, of).await;
                reads.map_err(failed)?
            }
        };
        Ok(GetReadPointerResponse {
            my: my.as_ref().map(convert::own_state),
            last_message,
            announcement_read_version: convert::wide(announcement.version),
            announcement_readers: convert::narrow(announcement.readers),
            unread_mentions: convert::wide(mentions),
            pointer: Some(pointer),
            peer_last_read_seq_id: peer.map(convert::wide),
        })
    }

    async fn unread_mentions(&self, id: ConversationId, user: UserId, read: SeqId) -> Result<u64> {
        let found = self.shared.db.unread_mentions(user, &[(id, read)]).await;
        let found = found.map_err(failed)?.into_iter().next();
        Ok(found.map_or(0, |(_, count)| count))
    }

    pub(super) async fn own_state(&self, id: ConversationId, user: UserId) -> Result<OwnState> {
        let state = self.shared.db.own_state(user, id).await;
        Ok(convert::own_state(&state.map_err(failed)?))
    }

    /// The newest message as the user's list shows it: what it answers is named without state and
    /// excerpt. Who deleted nothing costs one look-up by key.
    async fn last_message(
        &self,
        conversation: ConversationId,
        seq: SeqId,
        user: UserId,
        my: &own_state::OwnState,
    ) -> Result<Option<common::Message>> {
        let db = &self.shared.db;
        let query = RangeQuery {
            conversation,
            from: Some(seq),
            to: Some(seq),
            direction: Direction::Descending,
            limit: 1,
            types: Vec::new(),
            // The number was read from the primary: a replica may be behind it.
            fresh: true,
        };
        let found = db.messages(query).await.map_err(failed)?;
        let (mut my, mut hidden) = (my.clone(), Vec::new());
        if my.hidden_count > 0 {
            let found = db.hidden_among(user, conversation, &[seq]).await;
            hidden = found.map_err(failed)?;
            // In this order: clearing a conversation deletes the row that was looked for.
            my = db.own_state(user, conversation).await.map_err(failed)?;
        }
        let message = found.messages.first().map(convert::message);
        Ok(match my.sight(seq, &hidden) {
            Sight::Whole => message,
            Sight::Hidden => message.map(convert::emptied),
            Sight::Cleared => None,
        })
    }

    /// Read pointer of one side of a single chat, where the other side may see it.
    async fn shown_pointer(&self, id: ConversationId, user: UserId) -> Result<Option<SeqId>> {
        let of = FactsOf {
            id,
            without_members: false,
            senders: Vec::new(),
            resends: Vec::new(),
            targets: Vec::new(),
            quotes: Vec::new(),
            reactors: Vec::new(),
        };
        let request = FactsRequest {
            conversations: vec![of],
            max_rows: usize::MAX,
            ..Default::default()
        };
        let db = &self.shared.db;
        let (facts, pointer) =
            tokio::try_join!(db.facts(request), db.pointer(user, id)).map_err(failed)?;
        let facts = facts.into_iter().next();
        let is_shown = facts.is_some_and(|facts| {
            let settings = facts.conversation.as_ref().map(|row| row.settings.as_str());
            receipt::are_shown(settings.unwrap_or_default(), facts.blocked)
        });
        Ok(is_shown.then_some(pointer.unwrap_or_default().0))
    }

    pub(super) async fn list_readers(
        &self,
        request: ListReadersRequest,
    ) -> Result<ListReadersResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let seq = args::seq(request.seq_id, "seq_id")?;
        let author = args::user(&request.author_id, "author_id")?;
        let limit = args::limit(request.members_max, MAX_MEMBER_PAGE, MAX_MEMBER_PAGE);
        let pointers = self.shared.db.member_pointers(id, limit).await;
        let readers = receipt::readers(pointers.map_err(failed)?, seq, author);
        let reader = |reader: &MemberPointer| ReadPointer {
            user_id: reader.user.to_string(),
            conversation_id: id.to_string(),
            last_read_seq_id: convert::wide(reader.pointer.seq()),
            updated_at: convert::seconds(reader.moved_at),
        };
        Ok(ListReadersResponse {
            readers: readers.iter().map(reader).collect(),
        })
    }

    pub(super) async fn get_unread_count(
        &self,
        request: GetUnreadCountRequest,
    ) -> Result<GetUnreadCountResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let counts = self
            .shared
            .db
            .unread_counts(user, &[id])
            .await
            .map_err(failed)?;
        let (_, unread) = counts.first().ok_or(ErrorCode::NotConversationMember)?;
        Ok(GetUnreadCountResponse {
            unread_count: convert::wide(*unread),
        })
    }

    pub(super) async fn batch_get_unread_counts(
        &self,
        request: BatchGetUnreadCountsRequest,
    ) -> Result<BatchGetUnreadCountsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let ids = args::conversations(&request.conversation_ids, args::MAX_BATCH)?;
        let told = args::heads(&request.at_least)?;
        let late = self.shared.heads.reach(Some(user), told).await?;
        let counts = self
            .shared
            .db
            .unread_counts(user, &ids)
            .await
            .map_err(failed)?;
        let unread_counts = counts
            .into_iter()
            .map(|(id, unread)| (id.to_string(), convert::wide(unread)));
        Ok(BatchGetUnreadCountsResponse {
            unread_counts: unread_counts.collect(),
            behind: !late.is_empty(),
        })
    }
}
