//! Own state of a conversation.

use gochat_core::error::Result;
use gochat_core::own_state::OwnChange;
use gochat_infra::port::db::{HiddenRow, MAX_CHANGES_PAGE};
use gochat_proto::common::v1::{HiddenMessage, OwnStateChange};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use super::read::moved;
use crate::rpc::failed;
use crate::{args, convert};

/// Page length when the caller names none.
const HIDDEN_PAGE: u32 = 50;

/// The change as core judges it; a negative end of the silence takes the silence away.
fn change_of(change: OwnStateChange) -> OwnChange {
    OwnChange {
        mute_until: change.mute_until.map(|until| (until >= 0).then_some(until)),
        is_pinned: change.pinned,
        is_archived: change.archived,
        is_marked_unread: change.marked_unread,
        draft: change.draft,
    }
}

impl ConversationApi {
    pub(super) async fn change_own_state(
        &self,
        request: ChangeOwnStateRequest,
    ) -> Result<ChangeOwnStateResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let change = change_of(request.change.unwrap_or_default()).checked()?;
        let now = self.shared.now();
        let db = &self.shared.db;
        let done = db.change_own_state(user, id, change, now).await;
        let done = done.map_err(failed)?;
        Ok(ChangeOwnStateResponse {
            my: Some(convert::own_state(&done.state)),
            changed: done.changed,
        })
    }

    /// Whether there is such a message, and whether the user may read it, is checked by the caller.
    pub(super) async fn hide_message(
        &self,
        request: HideMessageRequest,
    ) -> Result<HideMessageResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let message = args::message(&request.message_id)?;
        let seq = args::seq(request.seq_id, "seq_id")?;
        let now = self.shared.now();
        let db = &self.shared.db;
        let done = db.hide_message(user, id, (seq, message), now).await;
        let done = done.map_err(failed)?;
        Ok(HideMessageResponse {
            my: Some(convert::own_state(&done.state)),
            changed: done.changed,
        })
    }

    pub(super) async fn clear_history(
        &self,
        request: ClearHistoryRequest,
    ) -> Result<ClearHistoryResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let up_to = args::seq(request.up_to_seq_id, "up_to_seq_id")?;
        let now = self.shared.now();
        let done = self.shared.db.clear_history(user, id, up_to, now).await;
        let done = done.map_err(failed)?;
        Ok(ClearHistoryResponse {
            my: Some(convert::own_state(&done.own.state)),
            changed: done.own.changed,
            read: Some(moved(&done.read, up_to)),
        })
    }

    pub(super) async fn list_hidden(
        &self,
        request: ListHiddenRequest,
    ) -> Result<ListHiddenResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let after = args::seq(request.after_version, "after_version")?;
        let limit = args::limit(request.limit, HIDDEN_PAGE, MAX_CHANGES_PAGE);
        let db = &self.shared.db;
        let rows = db.hidden_messages(user, id, after, limit + 1).await;
        let mut rows = rows.map_err(failed)?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let message = |row: &HiddenRow| HiddenMessage {
            message_id: row.message_id.to_string(),
            seq_id: convert::wide(row.seq_id),
            version: convert::wide(row.version),
        };
        Ok(ListHiddenResponse {
            messages: rows.iter().map(message).collect(),
            has_more,
        })
    }
}
