//! Invitations to groups, and how many conversations a user is in.

use gochat_core::error::Result;
use gochat_core::ids::{RequestId, UserId};
use gochat_core::membership::FailedUser;
use gochat_infra::port::db::{InvitationRow, NewInvitation};
use gochat_proto::im::repo::v1::*;
use hashbrown::HashMap;

use super::ConversationApi;
use crate::rpc::failed;
use crate::shared::to_the_end;
use crate::{args, convert};

/// Invitations of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 20;
/// Most invitations of a page.
const PAGE_MAX: u32 = 99;
/// Open invitations of one user when the caller names no cap.
const CAP_DEFAULT: u32 = 100;

impl ConversationApi {
    pub(super) async fn create_invitations(
        &self,
        request: CreateInvitationsRequest,
    ) -> Result<CreateInvitationsResponse> {
        let conversation = args::group(&request.conversation_id, "conversation_id")?;
        let inviter = args::user(&request.inviter_id, "inviter_id")?;
        args::batch(request.user_ids.len(), "user_ids")?;
        let users = args::users(&request.user_ids, "user_ids")?;
        let now = self.shared.now();
        let mut answer = CreateInvitationsResponse::default();
        for user in users {
            let new = NewInvitation {
                id: self.shared.new_request_id()?,
                conversation,
                user,
                inviter,
                cap: args::limit(request.cap, CAP_DEFAULT, u32::MAX),
                now,
                expires_at: now.saturating_add(args::millis(request.ttl_s)),
            };
            match self.shared.db.invite(new).await.map_err(failed) {
                Ok(row) => answer.invitations.push(convert::invitation(&row)),
                Err(error) if error.code == gochat_core::error::ErrorCode::RateLimited => {
                    let refused = FailedUser { user, error };
                    answer.failures.push(convert::failure(&refused));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    pub(super) async fn list_invitations(
        &self,
        request: ListInvitationsRequest,
    ) -> Result<ListInvitationsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let after = match request.after_id.as_str() {
            "" => None,
            id => Some(args::request(id)?),
        };
        let limit = args::limit(request.limit, PAGE_DEFAULT, PAGE_MAX);
        let now = self.shared.now();
        let found = self.shared.db.invitations(user, now, after, limit + 1);
        let mut rows = found.await.map_err(failed)?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        Ok(ListInvitationsResponse {
            invitations: self.described(&rows).await?,
            has_more,
        })
    }

    /// With the groups and the inviters; groups that are dissolved are left out.
    async fn described(&self, rows: &[InvitationRow]) -> Result<Vec<Invitation>> {
        let groups: Vec<_> = rows.iter().map(|row| row.conversation_id).collect();
        let inviters: Vec<UserId> = rows.iter().map(|row| row.inviter_id).collect();
        let groups = self.shared.conversations.many(&groups).await?;
        let groups: HashMap<String, _> = groups.into_iter().map(|c| (c.id.clone(), c)).collect();
        let people = self.shared.users.many(&inviters).await?;
        let people: HashMap<String, _> = people
            .into_iter()
            .map(|found| (found.user.id.clone(), convert::info_of(&found.user)))
            .collect();
        let described = rows.iter().filter_map(|row| {
            let invitation = convert::invitation(row);
            Some(Invitation {
                conversation: Some(groups.get(&invitation.conversation_id)?.clone()),
                inviter: people.get(&invitation.inviter_id).cloned(),
                ..invitation
            })
        });
        Ok(described.collect())
    }

    pub(super) async fn answer_invitation(
        &self,
        request: AnswerInvitationRequest,
    ) -> Result<AnswerInvitationResponse> {
        let id: RequestId = args::request(&request.invitation_id)?;
        let user = args::user(&request.user_id, "user_id")?;
        let now = self.shared.now();
        let (db, conversations) = (self.shared.db.clone(), self.shared.conversations.clone());
        let answered = to_the_end(async move {
            let answered = db.answer_invitation(id, user, request.accept, now).await;
            if let Ok((row, _)) = &answered {
                conversations.forget(&[row.conversation_id]).await;
            }
            answered
        });
        let (row, outcome) = answered.await.map_err(failed)?;
        if let Some(error) = outcome.as_ref().and_then(super::links::refusal) {
            return Err(error);
        }
        let joined = outcome.is_some_and(|done| !done.decision.added().is_empty());
        Ok(AnswerInvitationResponse {
            invitation: Some(convert::invitation(&row)),
            joined,
        })
    }

    pub(super) async fn count_conversations(
        &self,
        request: CountConversationsRequest,
    ) -> Result<CountConversationsResponse> {
        args::batch(request.user_ids.len(), "user_ids")?;
        let users = args::users(&request.user_ids, "user_ids")?;
        let cap = u32::try_from(request.cap).unwrap_or(0);
        let counts = self.shared.db.conversation_counts(&users, cap).await;
        let counts = counts.map_err(failed)?.into_iter();
        Ok(CountConversationsResponse {
            counts: counts
                .map(|(user, count)| (user.to_string(), convert::narrow(count)))
                .collect(),
        })
    }
}
