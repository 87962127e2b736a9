//! Requests to join groups.

use gochat_core::error::Result;
use gochat_core::ids::UserId;
use gochat_core::membership::check_join_text;
use gochat_infra::port::db::{JoinRequestRow, NewJoinRequest};
use gochat_proto::common::v1::JoinRequest;
use gochat_proto::im::repo::v1::*;
use hashbrown::HashMap;

use super::ConversationApi;
use super::links::refusal;
use crate::rpc::failed;
use crate::shared::to_the_end;
use crate::{args, convert};

/// Requests of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 20;
/// Maximum number of requests of a page.
const PAGE_MAX: u32 = 99;
/// Open requests of one user when the caller names no cap.
const OF_USER: u32 = 20;
/// Open requests of one group when the caller names no cap.
const OF_GROUP: u32 = 500;

impl ConversationApi {
    pub(super) async fn ask_to_join(&self, request: AskToJoinRequest) -> Result<AskToJoinResponse> {
        check_join_text(&request.text)?;
        let now = self.shared.now();
        let new = NewJoinRequest {
            id: self.shared.new_request_id()?,
            conversation: args::group(&request.conversation_id, "conversation_id")?,
            user: args::user(&request.user_id, "user_id")?,
            text: request.text,
            link: match request.link_code.as_str() {
                "" => None,
                code => Some(args::link_code(code)?.to_owned()),
            },
            cap_user: args::limit(request.cap_user, OF_USER, u32::MAX),
            cap_group: args::limit(request.cap_group, OF_GROUP, u32::MAX),
            cooldown: args::millis(request.cooldown_s),
            now,
            expires_at: now.saturating_add(args::millis(request.ttl_s)),
        };
        let (row, made) = self.shared.db.ask_to_join(new).await.map_err(failed)?;
        Ok(AskToJoinResponse {
            request: Some(convert::join_request(&row, None)),
            made,
        })
    }

    pub(super) async fn get_join_request(
        &self,
        request: GetJoinRequestRequest,
    ) -> Result<GetJoinRequestResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let found = self.shared.db.join_request(id, user, self.shared.now());
        let rows: Vec<_> = found.await.map_err(failed)?.into_iter().collect();
        Ok(GetJoinRequestResponse {
            request: self.with_askers(&rows).await?.pop(),
        })
    }

    pub(super) async fn list_join_requests(
        &self,
        request: ListJoinRequestsRequest,
    ) -> Result<ListJoinRequestsResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let after = match request.after_id.as_str() {
            "" => None,
            id => Some(args::request(id)?),
        };
        let limit = args::limit(request.limit, PAGE_DEFAULT, PAGE_MAX);
        let now = self.shared.now();
        let found = self.shared.db.join_requests(id, now, after, limit + 1);
        let mut rows = found.await.map_err(failed)?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        Ok(ListJoinRequestsResponse {
            requests: self.with_askers(&rows).await?,
            has_more,
        })
    }

    async fn with_askers(&self, rows: &[JoinRequestRow]) -> Result<Vec<JoinRequest>> {
        let askers: Vec<UserId> = rows.iter().map(|row| row.user_id).collect();
        let people = self.shared.users.many(&askers).await?;
        let people: HashMap<String, _> = people
            .into_iter()
            .map(|found| (found.user.id.clone(), convert::info_of(&found.user)))
            .collect();
        let shown = |row: &JoinRequestRow| {
            let asker = people.get(&row.user_id.to_string()).cloned();
            convert::join_request(row, asker)
        };
        Ok(rows.iter().map(shown).collect())
    }

    pub(super) async fn answer_join_request(
        &self,
        request: AnswerJoinRequestRequest,
    ) -> Result<AnswerJoinRequestResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let by = args::user(&request.operator_id, "operator_id")?;
        let now = self.shared.now();
        let (db, conversations) = (self.shared.db.clone(), self.shared.conversations.clone());
        let answered = to_the_end(async move {
            let accept = request.accept;
            let answered = db.answer_join_request(id, user, by, accept, now).await;
            if answered.as_ref().is_ok_and(|done| done.outcome.is_some()) {
                conversations.forget(&[id]).await;
            }
            answered
        });
        let done = answered.await.map_err(failed)?;
        if let Some(error) = done.outcome.as_ref().and_then(refusal) {
            return Err(error);
        }
        let joined = done
            .outcome
            .is_some_and(|outcome| !outcome.decision.added().is_empty());
        Ok(AnswerJoinRequestResponse {
            request: Some(convert::join_request(&done.request, None)),
            changed: done.changed,
            joined,
        })
    }
}
