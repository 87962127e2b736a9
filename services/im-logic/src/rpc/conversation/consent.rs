//! Consent to memberships: who comes in at once, who is invited, who can't be added.

use futures_util::future::join_all;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::friendship::{Pair, Person};
use gochat_core::ids::{ConversationId, RequestId, UserId};
use gochat_core::membership::{FailedUser, GroupEvent};
use gochat_core::reach::{AddedBy, Contact, Way, how_added, may_reach};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashSet;

use super::super::parse;
use super::{members, view};
use crate::app::App;
use crate::repo::{People, person, present};

/// Budgets asked for at the same time.
const AT_ONCE: usize = 32;

/// Users sorted by how they come into a group.
#[derive(Debug, Default)]
pub(super) struct Consent {
    /// May be added at once.
    pub(super) directly: Vec<UserId>,
    /// Decide by themselves.
    pub(super) invited: Vec<UserId>,
    /// Can't be added: blocked, or in too many conversations.
    pub(super) failed: Vec<FailedUser>,
}

/// Sorts the users whom `operator` wants in a group and may add: budgets of the users are spent.
pub(super) async fn sort(
    app: &App,
    operator: UserId,
    people: &People,
    users: &[UserId],
) -> Result<Consent> {
    let mut consent = Consent::default();
    if users.is_empty() {
        return Ok(consent);
    }
    let pairs = app.repo.relations(operator, users).await?;
    let crowded = crowded(app, users).await?;
    let me = Person {
        id: operator,
        is_guest: false,
        active: true,
    };
    let mut strangers = Vec::new();
    for user in users.iter().copied() {
        let pair = pairs.get(&user).copied().unwrap_or_default();
        match may_reach(me, person(user, people), pair, Contact::GroupAdd) {
            Err(error) if pair.is_blocked() => consent.failed.push(FailedUser { user, error }),
            // Core refuses the others with the reasons of a candidate.
            Err(_) => consent.directly.push(user),
            Ok(()) if crowded.contains(&user) => {
                let refused = FailedUser::new(user, ErrorCode::TooManyConversations);
                consent.failed.push(refused);
            }
            Ok(()) => {
                let setting = people.get(&user).map_or(0, |account| account.added_by);
                let setting = AddedBy::from_i32(setting).unwrap_or_default();
                strangers.push((user, pair, setting));
            }
        }
    }
    for part in strangers.chunks(AT_ONCE) {
        let ways = join_all(
            part.iter()
                .map(|(user, pair, setting)| way(app, *user, *pair, *setting)),
        );
        for ((user, ..), way) in part.iter().zip(ways.await) {
            match way {
                Way::Directly => consent.directly.push(*user),
                Way::ByInvitation => consent.invited.push(*user),
            }
        }
    }
    Ok(consent)
}

/// Takes from the strangers' budget only when it decides.
async fn way(app: &App, user: UserId, pair: Pair, setting: AddedBy) -> Way {
    let (with, without) = (
        how_added(pair, setting, true),
        how_added(pair, setting, false),
    );
    if with == without {
        return with;
    }
    how_added(pair, setting, has_budget(app, user).await)
}

async fn has_budget(app: &App, user: UserId) -> bool {
    match app.limits.strangers_adds_per_day {
        0 => true,
        per_day => app.budgets.stranger_adds(user, per_day).await.is_ok(),
    }
}

/// Users who are in as many conversations as one may be.
async fn crowded(app: &App, users: &[UserId]) -> Result<HashSet<UserId>> {
    let cap = app.limits.conversations_per_user;
    let mut crowded = HashSet::new();
    for batch in users.chunks(1_000) {
        let request = repo::CountConversationsRequest {
            user_ids: batch.iter().map(ToString::to_string).collect(),
            cap,
        };
        let counts = app.repo.count_conversations(request).await?.counts;
        let full = counts.into_iter().filter(|(_, count)| *count >= cap);
        crowded.extend(full.filter_map(|(user, _)| user.parse::<UserId>().ok()));
    }
    Ok(crowded)
}

/// Refuses a user who is in as many conversations as one may be.
pub(super) async fn has_room(app: &App, user: UserId) -> Result<()> {
    match crowded(app, &[user]).await?.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::TooManyConversations,
            "You are in as many conversations as one may be.",
        )),
    }
}

/// Writes invitations and tells the invited; gives a failure for each of the users.
pub(super) async fn invite(
    app: &App,
    id: ConversationId,
    by: UserId,
    users: &[UserId],
) -> Result<Vec<FailedUser>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let request = repo::CreateInvitationsRequest {
        conversation_id: id.to_string(),
        inviter_id: by.to_string(),
        user_ids: users.iter().map(ToString::to_string).collect(),
        ttl_s: app.limits.invitation_ttl_s,
        cap: app.limits.invitations_per_user,
    };
    let answer = app.repo.invite(request).await?;
    let name = view::stored(app, id).await.unwrap_or_default().name;
    app.events.invited(&answer.invitations, &name).await;
    let refused: HashSet<&str> = answer.failures.iter().map(|f| f.user_id.as_str()).collect();
    let outcome = |user: &UserId| match refused.contains(user.to_string().as_str()) {
        true => FailedUser::new(*user, ErrorCode::RateLimited),
        false => FailedUser::new(*user, ErrorCode::Invited),
    };
    Ok(users.iter().map(outcome).collect())
}

/// `GetInvitations`.
pub(super) async fn list(
    app: &App,
    request: pb::GetInvitationsRequest,
) -> Result<pb::GetInvitationsResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    let page = repo::ListInvitationsRequest {
        user_id: user.to_string(),
        after_id: request.after_id,
        limit: request.limit,
    };
    let page = app.repo.list_invitations(page).await?;
    Ok(pb::GetInvitationsResponse {
        invitations: page.invitations.into_iter().map(shown).collect(),
        has_more: page.has_more,
    })
}

fn shown(i: repo::Invitation) -> pb::Invitation {
    let group = i.conversation.unwrap_or_default();
    pb::Invitation {
        id: i.id,
        conversation_id: i.conversation_id,
        name: group.name,
        avatar_url: group.avatar_url,
        member_count: group.member_count,
        inviter: i.inviter,
        created_at: i.created_at,
        expires_at: i.expires_at,
    }
}

/// `AnswerInvitation`: who accepts is told of like one who was added.
pub(super) async fn answer(
    app: &App,
    request: pb::AnswerInvitationRequest,
) -> Result<pb::AnswerInvitationResponse> {
    let user = parse::user(&request.user_id)?;
    let id: RequestId = request
        .invitation_id
        .parse()
        .map_err(|_| ErrorCode::InvitationNotFound)?;
    let accept = match request.action {
        1 => true,
        2 => false,
        _ => {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "The action is 1 or 2.",
            ));
        }
    };
    app.repo.registered(user).await?;
    if accept {
        has_room(app, user).await?;
    }
    let write = repo::AnswerInvitationRequest {
        invitation_id: id.to_string(),
        user_id: user.to_string(),
        accept,
    };
    let answered = app.repo.answer_invitation(write).await?;
    if !accept {
        return Ok(pb::AnswerInvitationResponse { conversation: None });
    }
    let invitation = present(answered.invitation)?;
    let group = parse::group(&invitation.conversation_id).map_err(|_| ErrorCode::Internal)?;
    if answered.joined {
        let events = GroupEvent::joined(&[user], user);
        members::spread(app, group, user, &events, &[]).await?;
    }
    let conversation = view::stored(app, group).await?;
    Ok(pb::AnswerInvitationResponse {
        conversation: Some(view::seen_by(app, conversation, group, user).await?),
    })
}
