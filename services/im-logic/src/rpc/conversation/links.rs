//! Invitation links of groups.
//!
//! Each code that a user presents is charged to the user's rate limit before the look-up, so that
//! guessing is slow. A wrong code and an ended link have the same answer.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::friendship::Person;
use gochat_core::ids::UserId;
use gochat_core::membership::{
    Entry, GroupEvent, Link, LinkTerms, decide_link, decide_link_use, decide_revoke, is_link_code,
    sees_all_links,
};
use gochat_core::reach::{Contact, may_reach};
use gochat_proto::common::v1::InvitationLink;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::{asks, consent, members, view};
use crate::app::App;
use crate::clock;
use crate::repo::{person, present};

/// `CreateInvitationLink`.
pub(super) async fn create(
    app: &App,
    request: pb::CreateInvitationLinkRequest,
) -> Result<pb::CreateInvitationLinkResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    let now = clock::now_ms();
    let expires_at = match request.expires_at {
        0 => clock::now_s().saturating_add(app.limits.invitation_ttl_s),
        at => at,
    };
    let invalid = |text: &'static str| Error::new(ErrorCode::InvalidParams, text);
    let terms = LinkTerms {
        max_uses: u32::try_from(request.max_uses)
            .map_err(|_| invalid("A number of uses is not negative."))?,
        expires_at: u64::try_from(expires_at)
            .map_err(|_| invalid("A time is not negative."))?
            .saturating_mul(1_000),
    };
    // The number of open links is judged where they are written.
    decide_link(&facts.group, facts.standing(user), terms, (0, 1), now)?;
    app.budgets.invitation_code(user).await?;
    let write = repo::CreateInvitationLinkRequest {
        code: format!("{:032x}", rand::random::<u128>()),
        conversation_id: id.to_string(),
        creator_id: user.to_string(),
        max_uses: request.max_uses,
        expires_at,
        cap: app.limits.invitation_links_per_group,
    };
    let link = present(app.repo.create_link(write).await?.link)?;
    Ok(pb::CreateInvitationLinkResponse { link: Some(link) })
}

/// `ListInvitationLinks`.
pub(super) async fn list(
    app: &App,
    request: pb::ListInvitationLinksRequest,
) -> Result<pb::ListInvitationLinksResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    let standing = app.repo.facts(id, &[user]).await?.readable_by(user)?;
    let creator_id = match sees_all_links(standing) {
        true => String::new(),
        false => user.to_string(),
    };
    let query = repo::ListInvitationLinksRequest {
        conversation_id: id.to_string(),
        creator_id,
    };
    let links = app.repo.list_links(query).await?.links;
    Ok(pb::ListInvitationLinksResponse { links })
}

/// `RevokeInvitationLink`.
pub(super) async fn revoke(
    app: &App,
    request: pb::RevokeInvitationLinkRequest,
) -> Result<pb::RevokeInvitationLinkResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    // Only im-repo knows the maker of the link, and judges again. Strangers are refused here.
    decide_revoke(user, facts.standing(user), user)?;
    if is_link_code(&request.code) {
        let write = repo::RevokeInvitationLinkRequest {
            conversation_id: id.to_string(),
            code: request.code,
            operator_id: user.to_string(),
        };
        app.repo.revoke_link(write).await?;
    }
    Ok(pb::RevokeInvitationLinkResponse { success: true })
}

/// `UseInvitationLink`: who joins is told of like one who was added. Where joining needs approval and
/// the maker is no admin, it becomes a request.
pub(super) async fn join(
    app: &App,
    request: pb::UseInvitationLinkRequest,
) -> Result<pb::UseInvitationLinkResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    app.budgets.invitation_code(user).await?;
    let link = find(app, &request.code).await?;
    let id = parse::group(&link.conversation_id).map_err(|_| ErrorCode::Internal)?;
    let maker: UserId = link
        .creator_id
        .parse()
        .map_err(|_| ErrorCode::InvitationNotFound)?;
    let facts = app.repo.facts(id, &[user, maker]).await?;
    let standing = facts.standing(user);
    let judged = decide_link_use(
        &facts.group,
        &terms(&link, maker),
        facts.standing(maker),
        standing,
        clock::now_ms(),
    );
    match judged {
        // The repeat of a call whose answer was lost.
        Err(e) if e.code == ErrorCode::UserAlreadyInConversation => {
            app.facts.announce(id).await?;
        }
        // The asker's own request may have taken the last use.
        Err(e) if e.code == ErrorCode::InvitationNotFound => {
            return match asks::is_open(app, id, user).await? {
                true => Ok(requested()),
                false => Err(e),
            };
        }
        verdict => {
            let entry = verdict?;
            consent::has_room(app, user).await?;
            not_blocked(app, maker, user).await?;
            if entry == Entry::Ask {
                let code = Some(link.code);
                asks::make(app, id, user, String::new(), code, &facts).await?;
                return Ok(requested());
            }
            members::charge(app, user, id, 1, &facts).await?;
            // A new member starts to count at the head; it has to be the newest one.
            app.facts.rows_written(id).await;
            let write = repo::UseInvitationLinkRequest {
                code: link.code,
                user_id: user.to_string(),
            };
            let events = match app.repo.use_link(write).await?.joined {
                true => GroupEvent::joined(&[user], user),
                false => Vec::new(),
            };
            members::spread(app, id, user, &events, &[]).await?;
        }
    }
    let conversation = view::stored(app, id).await?;
    Ok(pb::UseInvitationLinkResponse {
        conversation: Some(view::seen_by(app, conversation, id, user).await?),
        requested: false,
    })
}

fn requested() -> pb::UseInvitationLinkResponse {
    pb::UseInvitationLinkResponse {
        conversation: None,
        requested: true,
    }
}

async fn find(app: &App, code: &str) -> Result<InvitationLink> {
    if !is_link_code(code) {
        return Err(ErrorCode::InvitationNotFound.into());
    }
    let query = repo::GetInvitationLinkRequest {
        code: code.to_owned(),
    };
    let found = app.repo.get_link(query).await?.link;
    found.ok_or_else(|| ErrorCode::InvitationNotFound.into())
}

fn terms(link: &InvitationLink, creator: UserId) -> Link {
    let expires_at = u64::try_from(link.expires_at).unwrap_or(0);
    Link {
        creator,
        terms: LinkTerms {
            max_uses: u32::try_from(link.max_uses).unwrap_or(0),
            expires_at: expires_at.saturating_mul(1_000),
        },
        used: u32::try_from(link.uses).unwrap_or(u32::MAX),
    }
}

/// Nobody comes in around a block between the user and the one who lets in: the maker of a link, or
/// the admin who accepts.
pub(super) async fn not_blocked(app: &App, maker: UserId, user: UserId) -> Result<()> {
    let people = app.repo.people(&[user]).await?;
    let pair = app.repo.relation(maker, user).await?;
    let maker = Person {
        id: maker,
        is_guest: false,
        active: true,
    };
    may_reach(maker, person(user, &people), pair, Contact::GroupAdd)
}
