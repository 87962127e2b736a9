//! Who reacted to messages, and which messages are pinned.

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, Rev};
use gochat_infra::port::db::{MAX_CHANGES_PAGE, MAX_PAGE, PinsPage, ReactionsQuery};
use gochat_proto::im::repo::v1::*;

use super::MessageApi;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Page length when the caller names none.
const PAGE: u32 = 50;

impl MessageApi {
    pub(super) async fn list_reactions(
        &self,
        request: ListReactionsRequest,
    ) -> Result<ListReactionsResponse> {
        let query = ReactionsQuery {
            conversation: args::conversation(&request.conversation_id)?,
            message: args::message(&request.message_id)?,
            emoji: args::emoji_filter(&request.emoji)?,
            after_rev: args::seq(request.after_rev, "after_rev")?,
            limit: args::limit(request.limit, PAGE, MAX_PAGE),
        };
        let page = self.shared.db.reactions(query).await.map_err(failed)?;
        let mut reactions: Vec<_> = page.reactions.iter().map(convert::user_reaction).collect();
        let is_cut = pages::bound(&mut reactions);
        Ok(ListReactionsResponse {
            reactions,
            has_more: is_cut || page.has_more,
        })
    }

    pub(super) async fn list_own_reactions(
        &self,
        request: ListOwnReactionsRequest,
    ) -> Result<ListOwnReactionsResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let user = args::user(&request.user_id, "user_id")?;
        let ids = args::messages(&request.message_ids, MAX_CHANGES_PAGE as usize)?;
        if ids.is_empty() {
            return Ok(ListOwnReactionsResponse::default());
        }
        let found = self.shared.db.own_reactions(place, user, &ids).await;
        let reaction = |(message, emoji): (_, _)| convert::own_reaction(message, emoji);
        let reactions = found.map_err(failed)?.into_iter().map(reaction).collect();
        Ok(ListOwnReactionsResponse { reactions })
    }

    pub(super) async fn list_pins(&self, request: ListPinsRequest) -> Result<ListPinsResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let at_least = args::seq(request.at_least_rev, "at_least_rev")?;
        let (page, is_fresh) = self.pins_reaching(place, at_least).await?;
        let behind = page.head_rev < at_least;
        // Bounded by their number: 100 of the longest messages are below 3 MiB.
        let messages = self.shown(place, page.messages, is_fresh).await?;
        let reader = self.reader(place, &request.reader_id).await?;
        let mut messages = self.seen_by(&reader, messages).await?;
        messages.retain(|message| !message.hidden);
        Ok(ListPinsResponse { messages, behind })
    }

    /// The pins as of a number that their reader was told of, as far as that came in time, and
    /// whether a replica didn't do.
    async fn pins_reaching(&self, id: ConversationId, at_least: Rev) -> Result<(PinsPage, bool)> {
        let db = &self.shared.db;
        let page = db.pins(id, false).await.map_err(failed)?;
        if page.head_rev >= at_least {
            return Ok((page, false));
        }
        self.shared.heads.reach_rev(id, at_least).await?;
        let page = db.pins(id, true).await.map_err(failed)?;
        Ok((page, true))
    }
}
