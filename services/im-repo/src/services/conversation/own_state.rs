//! Own state of a conversation.

use gochat_core::error::Result;
use gochat_core::own_state::OwnChange;
use gochat_proto::common::v1::OwnStateChange;
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

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
}
