//! Invitation links of groups.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::membership::LinkTerms;
use gochat_infra::port::db::{GroupOutcome, NewLink};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::shared::to_the_end;
use crate::{args, convert};

/// Maximum number of open links of one group, whatever the caller's cap; a list holds all of them.
const CAP_MAX: u32 = 100;

impl ConversationApi {
    pub(super) async fn create_invitation_link(
        &self,
        request: CreateInvitationLinkRequest,
    ) -> Result<CreateInvitationLinkResponse> {
        let new = NewLink {
            code: args::link_code(&request.code)?.to_owned(),
            conversation: args::group(&request.conversation_id, "conversation_id")?,
            creator: args::user(&request.creator_id, "creator_id")?,
            terms: LinkTerms {
                max_uses: u32::try_from(request.max_uses)
                    .map_err(|_| args::invalid("`max_uses` is not negative."))?,
                expires_at: args::millis(request.expires_at),
            },
            cap: args::limit(request.cap, CAP_MAX, CAP_MAX),
            now: self.shared.now(),
        };
        let row = self.shared.db.create_link(new).await.map_err(failed)?;
        Ok(CreateInvitationLinkResponse {
            link: Some(convert::link(&row)),
        })
    }

    pub(super) async fn get_invitation_link(
        &self,
        request: GetInvitationLinkRequest,
    ) -> Result<GetInvitationLinkResponse> {
        let code = args::link_code(&request.code)?;
        let row = self.shared.db.link(code).await.map_err(failed)?;
        Ok(GetInvitationLinkResponse {
            link: row.as_ref().map(convert::link),
        })
    }

    pub(super) async fn list_invitation_links(
        &self,
        request: ListInvitationLinksRequest,
    ) -> Result<ListInvitationLinksResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let creator = args::user_or_none(&request.creator_id, "creator_id")?;
        let rows = self.shared.db.links(id, creator, self.shared.now()).await;
        let rows = rows.map_err(failed)?;
        Ok(ListInvitationLinksResponse {
            links: rows.iter().map(convert::link).collect(),
        })
    }

    pub(super) async fn revoke_invitation_link(
        &self,
        request: RevokeInvitationLinkRequest,
    ) -> Result<RevokeInvitationLinkResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let by = args::user(&request.operator_id, "operator_id")?;
        let code = args::link_code(&request.code)?;
        let revoked = self.shared.db.revoke_link(id, code, by).await;
        Ok(RevokeInvitationLinkResponse {
            revoked: revoked.map_err(failed)?,
        })
    }

    pub(super) async fn use_invitation_link(
        &self,
        request: UseInvitationLinkRequest,
    ) -> Result<UseInvitationLinkResponse> {
        let code = args::link_code(&request.code)?.to_owned();
        let user = args::user(&request.user_id, "user_id")?;
        let now = self.shared.now();
        let (db, conversations) = (self.shared.db.clone(), self.shared.conversations.clone());
        let used = to_the_end(async move {
            let used = db.use_link(&code, user, now).await;
            if let Ok((row, Some(_))) = &used {
                conversations.forget(&[row.conversation_id]).await;
            }
            used
        });
        let (row, outcome) = used.await.map_err(failed)?;
        if let Some(error) = outcome.as_ref().and_then(refusal) {
            return Err(error);
        }
        Ok(UseInvitationLinkResponse {
            link: Some(convert::link(&row)),
            joined: outcome.is_some_and(|done| !done.decision.added().is_empty()),
        })
    }
}

/// Why a command that admits one user did not.
pub(super) fn refusal(done: &GroupOutcome) -> Option<gochat_core::error::Error> {
    let failed = done.decision.failed.first()?;
    let is_member = failed.error.code == ErrorCode::UserAlreadyInConversation;
    (!is_member).then(|| failed.error.clone())
}
