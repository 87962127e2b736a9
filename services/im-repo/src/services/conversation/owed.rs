//! The outbox of system messages.

use gochat_core::error::Result;
use gochat_infra::port::db::{MAX_PAGE, OwedMessage as Row, OwedQuery};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

impl ConversationApi {
    pub(super) async fn list_owed_messages(
        &self,
        request: ListOwedMessagesRequest,
    ) -> Result<ListOwedMessagesResponse> {
        let conversation = match request.conversation_id.as_str() {
            "" => None,
            id => Some(args::group(id, "conversation_id")?),
        };
        let before = match args::seq(request.before_ms, "before_ms")? {
            // Clocks of instances differ; by less than a day.
            0 => self.shared.now() + DAY_MS,
            before => before,
        };
        let query = OwedQuery {
            conversation,
            after_id: args::seq(request.after_id, "after_id")?,
            before,
            limit: args::limit(request.limit, MAX_PAGE, MAX_PAGE),
        };
        let rows = self.shared.db.owed_messages(query).await.map_err(failed)?;
        Ok(ListOwedMessagesResponse {
            messages: rows.into_iter().map(wire).collect(),
        })
    }

    pub(super) async fn settle_owed_messages(
        &self,
        request: SettleOwedMessagesRequest,
    ) -> Result<SettleOwedMessagesResponse> {
        if request.ids.len() > MAX_PAGE as usize {
            return Err(args::invalid("`ids` has at most 100 entries."));
        }
        let ids = request.ids.into_iter().map(|id| args::seq(id, "ids"));
        let ids = ids.collect::<Result<Vec<u64>>>()?;
        let settled = self.shared.db.settle_owed(&ids).await.map_err(failed)?;
        Ok(SettleOwedMessagesResponse {
            settled: i32::try_from(settled).unwrap_or(i32::MAX),
        })
    }
}

fn wire(row: Row) -> OwedMessage {
    OwedMessage {
        id: convert::wide(row.id),
        conversation_id: row.conversation_id.to_string(),
        sender_id: row.sender_id.to_string(),
        content: row.content,
        created_at_ms: convert::wide(row.created_at),
    }
}
