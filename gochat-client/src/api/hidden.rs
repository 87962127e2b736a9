//! Messages that the user deleted for themselves.

use gochat_core::ids::{ConversationId, MessageId, SeqId};
use http::Method;

use super::{Api, HiddenPage, NO_BODY, Nothing, OwnState};
use crate::Result;

impl Api {
    /// Deletes a message for the user alone: it keeps its place and says nothing to them any more,
    /// on every device. Nobody else learns of it.
    ///
    /// # Errors
    /// `TOO_MANY_HIDDEN` beyond
    /// [`HIDDEN_MAX`](gochat_core::own_state::HIDDEN_MAX) messages of a conversation.
    pub async fn delete_for_me(&self, id: ConversationId, message: MessageId) -> Result<()> {
        let path = format!("/conversations/{id}/hidden/{message}");
        let done = self.call::<Nothing>(Method::PUT, &path, NO_BODY);
        done.await.map(drop)
    }

    /// Clears a conversation for the user alone, up to and with a message or, without one, the
    /// newest; gives the user's state of it. What goes is read. Only with a message named it may be
    /// repeated: without one, a repeat clears what came in between.
    pub async fn clear_history(
        &self,
        id: ConversationId,
        up_to: Option<SeqId>,
    ) -> Result<OwnState> {
        let path = match up_to {
            Some(seq) => format!("/conversations/{id}/history?up_to_seq={seq}"),
            None => format!("/conversations/{id}/history"),
        };
        self.call(Method::DELETE, &path, NO_BODY).await
    }

    /// Messages that the user deleted for themselves with a later version of their state than
    /// `after`, and didn't clear away since.
    pub async fn hidden(&self, id: ConversationId, after: u64, limit: u32) -> Result<HiddenPage> {
        self.get(&format!(
            "/conversations/{id}/hidden?after_version={after}&limit={limit}"
        ))
        .await
    }
}
