//! Read pointers and unread counts: sequence arithmetic, never a count of rows.

use gochat_core::error::{ErrorCode, Result};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

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
        Ok(UpdateReadPointerResponse {
            success: moved.pointer >= seq,
            unread_count: convert::wide(moved.unread),
            last_read_seq_id: convert::wide(moved.pointer),
            previous_read_seq_id: convert::wide(moved.previous),
            changed: moved.changed,
        })
    }

    pub(super) async fn get_read_pointer(
        &self,
        request: GetReadPointerRequest,
    ) -> Result<GetReadPointerResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let (seq, at) = self
            .shared
            .db
            .pointer(user, id)
            .await
            .map_err(failed)?
            .unwrap_or_default();
        let pointer = ReadPointer {
            user_id: request.user_id,
            conversation_id: request.conversation_id,
            last_read_seq_id: convert::wide(seq),
            updated_at: convert::seconds(at),
        };
        Ok(GetReadPointerResponse {
            pointer: Some(pointer),
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
