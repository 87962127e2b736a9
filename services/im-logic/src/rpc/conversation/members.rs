//! Members of groups.
//!
//! Every change goes the same way: load facts, refuse early, write, tell the world and wait until
//! the sequencer has passed the news, answer. So once a change is answered, nothing sequenced later
//! goes by the old facts. The write carries the operator and is judged again in the transaction
//! that holds the group: what was loaded here may be old by then.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::{
    Departure, FailedUser, GroupEvent, Mute, Role, RoleChange, decide_add, decide_join,
    decide_leave, decide_mute, decide_remove, decide_role,
};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::create::candidate;
use super::{consent, info, view};
use crate::app::App;
use crate::clock;
use crate::repo::Facts;

const PAGE_DEFAULT: i32 = 50;
const PAGE_MAX: i32 = 100;

/// `AddMembers`.
pub(crate) async fn add(
    app: &App,
    request: pb::AddMembersRequest,
) -> Result<pb::AddMembersResponse> {
    let operator = parse::user(&request.operator_id)?;
    let id = parse::group(&request.conversation_id)?;
    let users = parse::users(&request.user_ids)?;
    let role = if request.role == 0 {
        Role::Member
    } else {
        parse::role(request.role)?
    };
    let mut asked = users.clone();
    asked.push(operator);
    let facts = app.repo.facts(id, &asked).await?;
    let people = app.repo.people(&users).await?;
    let candidates: Vec<_> = users
        .iter()
        .map(|user| candidate(*user, &people, facts.role_of(*user).is_some()))
        .collect();
    let plan = decide_add(&facts.group, facts.standing(operator), role, &candidates)?;
    charge(app, operator, id, plan.admit.len(), &facts).await?;
    let consent = consent::sort(app, operator, &people, &plan.admit).await?;
    let (added, mut refused) = admit(app, id, operator, &consent.directly, role).await?;
    refused.extend(consent::invite(app, id, operator, &consent.invited).await?);
    refused.extend(consent.failed);
    let (events, failed) = plan.settle(&added, &refused, operator);
    spread(app, id, operator, &events, &failed).await?;
    Ok(pb::AddMembersResponse {
        success: failed.is_empty(),
        added_user_ids: added.iter().map(ToString::to_string).collect(),
        failed_users: failed.iter().map(failed_user).collect(),
    })
}

/// `JoinGroup` of the group service: on one's own, where the group is open.
pub(crate) async fn join(app: &App, id: ConversationId, user: UserId) -> Result<()> {
    let account = app.repo.registered(user).await?;
    consent::has_room(app, user).await?;
    let facts = app.repo.facts(id, &[user]).await?;
    let standing = gochat_core::membership::Standing::new(facts.role_of(user), account.is_guest);
    let plan = decide_join(&facts.group, user, standing)?;
    charge(app, user, id, plan.admit.len(), &facts).await?;
    let (added, refused) = admit(app, id, user, &plan.admit, Role::Member).await?;
    let (events, failed) = plan.settle(&added, &refused, user);
    spread(app, id, user, &events, &failed).await?;
    failed.into_iter().next().map_or(Ok(()), |f| Err(f.error))
}

/// Charges a change of members to who makes it and to the group. Leaving is never refused: it is
/// charged to joining.
pub(super) async fn charge(
    app: &App,
    by: UserId,
    id: ConversationId,
    rows: usize,
    facts: &Facts,
) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    let rows_u32 = u32::try_from(rows).unwrap_or(u32::MAX);
    let told = facts.group.member_count.saturating_add(rows_u32);
    app.budgets.member_changes(by, id, rows, told).await
}

/// Writes member rows, judged again where they are written. Who was added and who was refused is
/// the answer.
async fn admit(
    app: &App,
    id: ConversationId,
    by: UserId,
    users: &[UserId],
    role: Role,
) -> Result<(Vec<UserId>, Vec<FailedUser>)> {
    if users.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // New members start to count at the head; it has to be the newest one.
    app.facts.rows_written(id).await;
    let write = repo::AddConversationMemberRequest {
        conversation_id: id.to_string(),
        user_ids: users.iter().map(ToString::to_string).collect(),
        role: role as i32,
        operator_id: by.to_string(),
        ..Default::default()
    };
    let answer = app.repo.add_members(write).await?;
    let added = answer.added_user_ids.iter();
    let refused = |failure: &repo::MemberFailure| {
        let code = ErrorCode::from_number(failure.error_code)?;
        Some(FailedUser::new(failure.user_id.parse().ok()?, code))
    };
    Ok((
        added.filter_map(|text| text.parse().ok()).collect(),
        answer.failures.iter().filter_map(refused).collect(),
    ))
}

/// `RemoveMembers`.
pub(crate) async fn remove(
    app: &App,
    request: pb::RemoveMembersRequest,
) -> Result<pb::RemoveMembersResponse> {
    let operator = parse::user(&request.operator_id)?;
    let id = parse::group(&request.conversation_id)?;
    let users = parse::users(&request.user_ids)?;
    let mut asked = users.clone();
    asked.push(operator);
    let facts = app.repo.facts(id, &asked).await?;
    let targets: Vec<_> = users
        .iter()
        .map(|user| (*user, facts.role_of(*user)))
        .collect();
    let plan = decide_remove(&facts.group, operator, facts.standing(operator), &targets)?;
    charge(app, operator, id, plan.remove.len(), &facts).await?;
    let (removed, failed) = expel(app, id, operator, &plan.remove, plan.failed).await?;
    Ok(pb::RemoveMembersResponse {
        success: failed.is_empty(),
        removed_user_ids: removed.iter().map(ToString::to_string).collect(),
        failed_users: failed.iter().map(failed_user).collect(),
    })
}

/// `LeaveConversation`.
pub(crate) async fn leave(
    app: &App,
    request: pb::LeaveConversationRequest,
) -> Result<pb::LeaveConversationResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    if let Err(error) = decide_leave(&facts.group, user, facts.standing(user)) {
        if is_made_already(&error) {
            app.facts.announce(id).await?;
        }
        return Err(error);
    }
    let (_, failed) = expel(app, id, user, &[(user, Departure::Left)], Vec::new()).await?;
    match failed.into_iter().next() {
        Some(failed) => Err(failed.error),
        None => Ok(pb::LeaveConversationResponse { success: true }),
    }
}

/// Deletes member rows one by one, so that one failure doesn't hide what the others became.
async fn expel(
    app: &App,
    id: ConversationId,
    by: UserId,
    leaving: &[(UserId, Departure)],
    mut failed: Vec<FailedUser>,
) -> Result<(Vec<UserId>, Vec<FailedUser>)> {
    let (mut removed, mut events) = (Vec::new(), Vec::new());
    for (user, departure) in leaving {
        let write = repo::RemoveConversationMemberRequest {
            conversation_id: id.to_string(),
            user_id: user.to_string(),
            operator_id: by.to_string(),
        };
        match app.repo.remove_member(write).await {
            Ok(outcome) if outcome.success => {
                removed.push(*user);
                events.extend(GroupEvent::gone(*user, by, *departure));
            }
            Ok(_) => failed.push(FailedUser::new(*user, ErrorCode::NotConversationMember)),
            Err(error) => failed.push(FailedUser { user: *user, error }),
        }
    }
    spread(app, id, by, &events, &failed).await?;
    Ok((removed, failed))
}

/// `UpdateMemberRole`: the owner's business; role 3 hands the group over.
pub(crate) async fn change_role(
    app: &App,
    request: pb::UpdateMemberRoleRequest,
) -> Result<pb::UpdateMemberRoleResponse> {
    let operator = parse::user(&request.operator_id)?;
    let id = parse::group(&request.conversation_id)?;
    let target = parse::user(&request.target_user_id)?;
    let role = parse::role(request.new_role)?;
    let facts = app.repo.facts(id, &[operator, target]).await?;
    let change = decide_role(
        &facts.group,
        (operator, facts.standing(operator)),
        (target, facts.role_of(target)),
        role,
    )?;
    if change.changes.is_empty() {
        app.facts.announce(id).await?;
        return Ok(pb::UpdateMemberRoleResponse { success: true });
    }
    charge(app, operator, id, 1, &facts).await?;
    let written = if role == Role::Owner {
        let write = repo::TransferOwnershipRequest {
            conversation_id: id.to_string(),
            from_user_id: operator.to_string(),
            to_user_id: target.to_string(),
        };
        app.repo.transfer_ownership(write).await?.changes
    } else {
        let write = repo::UpdateMemberRoleRequest {
            conversation_id: id.to_string(),
            user_id: target.to_string(),
            new_role: role as i32,
            operator_id: operator.to_string(),
        };
        app.repo.update_role(write).await?.changes
    };
    // An answer without changes is one of an older im-repo, or of a call that was repeated.
    let changes: Vec<_> = written.iter().filter_map(role_change).collect();
    let change = match changes.is_empty() {
        true => change,
        false => RoleChange { changes },
    };
    spread(app, id, operator, &change.events(operator), &[]).await?;
    Ok(pb::UpdateMemberRoleResponse { success: true })
}

/// `MuteMember`: the member and the group are told.
pub(super) async fn mute(
    app: &App,
    request: pb::MuteMemberRequest,
) -> Result<pb::MuteMemberResponse> {
    let operator = parse::user(&request.operator_id)?;
    let id = parse::group(&request.conversation_id)?;
    let target = parse::user(&request.target_user_id)?;
    let until = u64::try_from(request.muted_until)
        .unwrap_or(0)
        .saturating_mul(1_000);
    let mute = match (request.muted, until) {
        (false, _) => Mute::None,
        (true, 0) => Mute::Forever,
        (true, until) => Mute::Until(until),
    };
    let facts = app.repo.facts(id, &[operator, target]).await?;
    let role = facts.role_of(target);
    let standing = facts.standing(operator);
    decide_mute(
        &facts.group,
        standing,
        (target, role),
        mute,
        clock::now_ms(),
    )?;
    charge(app, operator, id, 1, &facts).await?;
    let (muted, until) = mute.to_columns();
    let write = repo::MuteMemberRequest {
        conversation_id: id.to_string(),
        user_id: target.to_string(),
        muted,
        muted_until: i64::try_from(until / 1_000).unwrap_or(i64::MAX),
        operator_id: operator.to_string(),
    };
    app.repo.mute_member(write).await?;
    let events = [GroupEvent::Muted {
        user: target,
        role: role.unwrap_or(Role::Member),
        mute,
        by: operator,
    }];
    spread(app, id, operator, &events, &[]).await?;
    Ok(pb::MuteMemberResponse { success: true })
}

/// `GetMembers`: members only.
pub(crate) async fn list(
    app: &App,
    request: pb::GetMembersRequest,
) -> Result<pb::GetMembersResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    if id == ConversationId::World {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "The world chat has no list of members.",
        ));
    }
    let standing = app.repo.facts(id, &[user]).await?.readable_by(user)?;
    let (page, page_size) = parse::page(request.page, request.page_size, PAGE_DEFAULT, PAGE_MAX);
    let query = repo::GetConversationMembersRequest {
        conversation_id: id.to_string(),
        offset: (page - 1).saturating_mul(page_size),
        limit: page_size,
        role_filter: request.role_filter,
        after_user_id: parse::after_user(&request.cursor)?,
        updated_after: request.last_sync_time.max(0),
    };
    let sync_time = parse::sync_time();
    let answer = app.repo.get_members(query).await?;
    Ok(pb::GetMembersResponse {
        members: view::members_seen_by(user, standing, answer.members),
        total: answer.total,
        page,
        page_size,
        has_more: answer.has_more,
        next_cursor: parse::cursor_after(&answer.next_after_user_id),
        removed_user_ids: answer.removed_user_ids,
        sync_time,
    })
}

/// Spreads a change that was written: waits until the sequencer has passed the news and tells
/// the world. The world is told even when the wait fails, because the change stands.
///
/// A change that somebody finds made already is announced as well: whoever made it may have died in between, and this call
/// may be the repeat.
pub(super) async fn spread(
    app: &App,
    id: ConversationId,
    by: UserId,
    events: &[GroupEvent],
    failed: &[FailedUser],
) -> Result<()> {
    if events.is_empty() {
        return match failed.iter().any(|f| is_made_already(&f.error)) {
            true => app.facts.announce(id).await,
            false => Ok(()),
        };
    }
    let tell = async {
        // Events without a name are better than none.
        let conversation = view::stored(app, id).await.unwrap_or_default();
        app.events
            .conversation(&info::subject(id, &conversation), by, events)
            .await;
    };
    let (announced, ()) = tokio::join!(app.facts.announce(id), tell);
    app.owed.settle(id);
    announced
}

fn is_made_already(error: &Error) -> bool {
    use ErrorCode::{NotConversationMember, UserAlreadyInConversation};
    let made = [NotConversationMember, UserAlreadyInConversation];
    made.contains(&error.code) || error.is_retryable()
}

fn role_change(change: &repo::RoleChange) -> Option<(UserId, Role, Role)> {
    let user = change.user_id.parse().ok()?;
    let (old, new) = (change.old_role, change.new_role);
    Some((user, Role::from_i32(old)?, Role::from_i32(new)?))
}

fn failed_user(failed: &FailedUser) -> pb::FailedUser {
    pb::FailedUser {
        user_id: failed.user.to_string(),
        reason: failed.error.message.clone().into_owned(),
        error_code: failed.error.code.number(),
    }
}
