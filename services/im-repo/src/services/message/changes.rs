//! What is new or changed since a reader was away.

use gochat_core::error::Result;
use gochat_core::history::CatchUp;
use gochat_core::ids::Rev;
use gochat_infra::port::db::{ChangesPage, ChangesQuery, MAX_CHANGES_PAGE};
use gochat_proto::im::repo::v1::*;

use super::MessageApi;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Page length when the caller names none.
const PAGE: u32 = 50;

fn catch_up(query: ChangesQuery, page: &ChangesPage) -> CatchUp {
    CatchUp {
        after: query.after_rev,
        last: page.messages.last().map(|entry| entry.message.rev),
        has_more: page.has_more,
        head: page.head_rev,
    }
}

impl MessageApi {
    pub(super) async fn list_changes(
        &self,
        request: ListChangesRequest,
    ) -> Result<ListChangesResponse> {
        let query = ChangesQuery {
            conversation: args::conversation(&request.conversation_id)?,
            after_rev: args::seq(request.after_rev, "after_rev")?,
            limit: args::limit(request.limit, PAGE, MAX_CHANGES_PAGE),
            fresh: false,
        };
        let at_least = args::seq(request.at_least_rev, "at_least_rev")?;
        let (page, is_fresh) = self.changes_reaching(query, at_least).await?;
        let mut catch_up = catch_up(query, &page);
        let behind = catch_up.lacks(at_least);
        let place = query.conversation;
        let messages = self.shown(place, page.messages, is_fresh).await?;
        let reader = self.reader(place, &request.reader_id).await?;
        let mut messages = self.seen_by(&reader, messages).await?;
        if pages::bound(&mut messages) {
            let last = messages.last().map(|last| last.rev);
            catch_up.last = last.and_then(|rev| Rev::try_from(rev).ok());
            catch_up.has_more = true;
        }
        Ok(ListChangesResponse {
            messages,
            complete_to: convert::wide(catch_up.complete_to()),
            head_rev: convert::wide(catch_up.head),
            has_more: catch_up.has_more,
            behind,
        })
    }

    /// A page that holds what its reader was told of, as far as that came in time, and whether a
    /// replica didn't do. A page that lacks nothing costs nothing more.
    async fn changes_reaching(
        &self,
        query: ChangesQuery,
        at_least: Rev,
    ) -> Result<(ChangesPage, bool)> {
        let page = self.shared.db.changes(query).await.map_err(failed)?;
        if !catch_up(query, &page).lacks(at_least) {
            return Ok((page, false));
        }
        let heads = &self.shared.heads;
        heads.reach_rev(query.conversation, at_least).await?;
        let fresh = ChangesQuery {
            fresh: true,
            ..query
        };
        let page = self.shared.db.changes(fresh).await.map_err(failed)?;
        Ok((page, true))
    }
}
