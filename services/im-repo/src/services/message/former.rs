//! What messages said before they were edited.

use gochat_core::error::Result;
use gochat_core::message::FormerText;
use gochat_proto::common::v1 as common;
use gochat_proto::im::repo::v1::*;

use super::MessageApi;
use crate::rpc::failed;
use crate::{args, convert};

impl MessageApi {
    /// Bounded by their number: 20 of the longest texts are below 1 MiB.
    pub(super) async fn list_former_texts(
        &self,
        request: ListFormerTextsRequest,
    ) -> Result<ListFormerTextsResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let seq = args::seq(request.seq_id, "seq_id")?;
        let is_reached = match args::seq(request.at_least_rev, "at_least_rev")? {
            0 => true,
            rev => self.shared.heads.reach_rev(place, rev).await?,
        };
        let kept = self.shared.db.former_texts(place, seq).await;
        let text = |text: FormerText| common::FormerText {
            edit_no: convert::narrow(text.edit_no),
            content: text.content,
            extra: text.extra.unwrap_or_default(),
            written_at: convert::seconds(text.written_at),
        };
        Ok(ListFormerTextsResponse {
            texts: kept.map_err(failed)?.into_iter().map(text).collect(),
            behind: !is_reached,
        })
    }
}
