//! An account that goes leaves all its groups, and none without an owner.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::{Candidacy, Role, heir};
use gochat_proto::common::v1::{ConversationMember, ConversationType, Pagination};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashSet;

use super::{info, members};
use crate::app::App;
use crate::repo::is_active;

/// Rows of one page.
const PAGE: i32 = 100;
/// Members of one page.
const MEMBERS: i32 = 1_000;
/// Attempts for a group in which others change roles at the same time.
const ATTEMPTS: u32 = 5;

/// Deletes an account, which leaves every group first. A repeat goes on where the first call
/// stopped.
///
/// # Errors
/// Retryable ones; the user may have left some groups then.
pub(crate) async fn delete(app: &App, user: UserId) -> Result<()> {
    for _ in 0..ATTEMPTS {
        all(app, user).await?;
        match app.auth.delete(user).await {
            // Another user added this one to a group in between.
            Err(error) if error.code == ErrorCode::VersionConflict => {}
            outcome => return outcome,
        }
    }
    Err(ErrorCode::ServiceUnavailable.into())
}

/// Makes a user leave every group. What the user owns goes on to the longest-serving admin, else to
/// the longest-serving member; a group without other members is dissolved. A repeat goes on where
/// the first call stopped.
///
/// # Errors
/// Retryable ones; the user may have left some groups then.
async fn all(app: &App, user: UserId) -> Result<()> {
    for group in groups_of(app, user).await? {
        let mut attempt = 1;
        loop {
            match one(app, group, user).await {
                Ok(()) => break,
                // Roles changed between the look and the write: the next look sees it.
                Err(error) if attempt < ATTEMPTS && is_race(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_race(error: &Error) -> bool {
    use ErrorCode::{CannotLeaveConversation, InsufficientPermission, VersionConflict};
    let left = error.code == ErrorCode::NotConversationMember;
    left || matches!(
        error.code,
        CannotLeaveConversation | InsufficientPermission | VersionConflict
    )
}

/// Groups the user is in.
async fn groups_of(app: &App, user: UserId) -> Result<Vec<ConversationId>> {
    let (mut groups, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = repo::GetUserConversationsWithDetailsRequest {
            user_id: user.to_string(),
            pagination: Some(Pagination {
                page_size: PAGE,
                ..Default::default()
            }),
            cursor,
            type_filter: ConversationType::Group as i32,
            ..Default::default()
        };
        let answer = app.repo.list_conversations(request).await?;
        let ids = answer.conversations.iter();
        groups.extend(ids.filter_map(|c| c.id.parse::<ConversationId>().ok()));
        // Pages of large groups are cut by their bytes: their cursor goes on where they end.
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            return Ok(groups);
        }
    }
}

async fn one(app: &App, group: ConversationId, user: UserId) -> Result<()> {
    let facts = app.repo.facts(group, &[user]).await?;
    match facts.role_of(user) {
        None => return Ok(()),
        Some(_) if facts.group.dissolved => return Ok(()),
        Some(Role::Owner) => match successor(app, group, user).await? {
            Some(next) => hand_over(app, group, user, next).await?,
            None => return dissolve(app, group, user).await,
        },
        Some(_) => {}
    }
    let request = pb::LeaveConversationRequest {
        user_id: user.to_string(),
        conversation_id: group.to_string(),
    };
    members::leave(app, request).await.map(drop)
}

/// The member who owns the group next: an admin if there is one.
async fn successor(app: &App, group: ConversationId, user: UserId) -> Result<Option<UserId>> {
    for role in [Role::Admin, Role::Member] {
        let mut candidates = members_of(app, group, role).await?;
        candidates.retain(|c| c.user != user);
        // Whoever is disabled or deleted can't own anything.
        let mut passed = HashSet::new();
        while let Some(next) = heir(
            candidates
                .iter()
                .copied()
                .filter(|c| !passed.contains(&c.user)),
        ) {
            match app.repo.user(next).await {
                Ok(account) if is_active(&account) => return Ok(Some(next)),
                Err(error) if error.code != ErrorCode::UserNotFound => return Err(error),
                _ => passed.insert(next),
            };
        }
    }
    Ok(None)
}

async fn members_of(app: &App, group: ConversationId, role: Role) -> Result<Vec<Candidacy>> {
    let (mut all, mut after_user_id) = (Vec::new(), String::new());
    loop {
        let request = repo::GetConversationMembersRequest {
            conversation_id: group.to_string(),
            limit: MEMBERS,
            role_filter: role as i32,
            after_user_id,
            ..Default::default()
        };
        let page = app.repo.get_members(request).await?;
        all.extend(page.members.iter().filter_map(|m| candidacy(m, role)));
        let last = page.members.last().and_then(|m| m.user.as_ref());
        match last.filter(|_| page.has_more) {
            Some(last) => after_user_id = last.id.clone(),
            None => return Ok(all),
        }
    }
}

fn candidacy(member: &ConversationMember, role: Role) -> Option<Candidacy> {
    Some(Candidacy {
        user: member.user.as_ref()?.id.parse().ok()?,
        role,
        joined_at: u64::try_from(member.joined_at).unwrap_or(0),
    })
}

async fn hand_over(app: &App, group: ConversationId, user: UserId, next: UserId) -> Result<()> {
    let request = pb::UpdateMemberRoleRequest {
        conversation_id: group.to_string(),
        operator_id: user.to_string(),
        target_user_id: next.to_string(),
        new_role: Role::Owner as i32,
    };
    members::change_role(app, request).await.map(drop)
}

async fn dissolve(app: &App, group: ConversationId, user: UserId) -> Result<()> {
    let request = pb::DeleteConversationRequest {
        conversation_id: group.to_string(),
        user_id: user.to_string(),
        ..Default::default()
    };
    info::delete(app, request).await.map(drop)
}
