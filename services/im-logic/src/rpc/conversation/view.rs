//! One conversation, as one user sees it.

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, Rev, SeqId, UserId};
use gochat_core::membership::{Mute, Standing};
use gochat_core::read::ReadPointer;
use gochat_proto::common::v1::{Conversation, ConversationMember, OwnState, User, UserInfo};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::history::wide;
use super::{announcement, visible};
use crate::app::App;
use crate::clock;
use crate::repo::present;

/// What others see of an account.
pub(crate) fn brief(user: &User) -> UserInfo {
    UserInfo {
        id: user.id.clone(),
        username: user.username.clone(),
        avatar_url: user.avatar_url.clone(),
        is_guest: user.is_guest,
    }
}

/// A single chat has the other side's name and picture.
pub(crate) fn named_after_peer(conversation: Conversation) -> Conversation {
    let mut conversation = visible::without_earlier(conversation);
    if let Some(peer) = &conversation.peer {
        if conversation.name.is_empty() {
            conversation.name.clone_from(&peer.username);
        }
        if conversation.avatar_url.is_empty() {
            conversation.avatar_url.clone_from(&peer.avatar_url);
        }
    }
    conversation
}

/// The stored conversation.
pub(crate) async fn stored(app: &App, id: ConversationId) -> Result<Conversation> {
    stored_from(app, id, 0, 0).await
}

/// The stored conversation with everything up to two numbers; `awaited_seq_id` is set when one of
/// them was not reached in time.
async fn stored_from(
    app: &App,
    id: ConversationId,
    at_least: SeqId,
    at_least_rev: Rev,
) -> Result<Conversation> {
    let request = repo::GetConversationRequest {
        conversation_id: id.to_string(),
        at_least_seq_id: wide(at_least),
        at_least_rev: wide(at_least_rev),
    };
    present(app.repo.get_conversation(request).await?.conversation)
}

/// Completes a stored conversation with what `user` sees of it. The caller has checked that the
/// user may.
pub(crate) async fn seen_by(
    app: &App,
    mut conversation: Conversation,
    id: ConversationId,
    user: UserId,
) -> Result<Conversation> {
    let announcement = conversation.announcement.as_ref();
    let own = repo::GetReadPointerRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        with_peer: true,
        with_own_state: true,
        announcement_version: announcement.map_or(0, |announcement| announcement.version),
        last_seq_id: conversation.last_seq_id,
    };
    // Boxed: its answer is large, and this future is a part of many others.
    let own = Box::pin(app.repo.get_read_pointer(own));
    let (own, membership, peer) =
        tokio::try_join!(own, membership(app, id, user), peer(app, id, user))?;
    if let Some(shown) = &mut conversation.announcement {
        announcement::with_reads(shown, user, &own);
    }
    let pointer = seq_of(own.pointer.unwrap_or_default());
    conversation.unread_mentions = own.unread_mentions;
    conversation.my = own.my;
    conversation.last_message = own.last_message;
    conversation.peer_last_read_seq_id = own.peer_last_read_seq_id;
    conversation.last_read_seq_id = i64::try_from(pointer.seq()).unwrap_or(i64::MAX);
    let head = u64::try_from(conversation.last_seq_id).unwrap_or(0);
    // Who never opened the world chat has missed nothing in it.
    let fresh_to_world = id == ConversationId::World && pointer == ReadPointer::START;
    let unread = if fresh_to_world {
        0
    } else {
        pointer.unread(head)
    };
    conversation.unread_count = i64::try_from(unread).unwrap_or(i64::MAX);
    conversation.my_membership = membership;
    conversation.peer = peer;
    Ok(named_after_peer(conversation))
}

/// What the user keeps about a conversation alone.
pub(super) async fn own_state(app: &App, id: ConversationId, user: UserId) -> Result<OwnState> {
    let request = repo::GetReadPointerRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        with_own_state: true,
        ..Default::default()
    };
    present(app.repo.get_read_pointer(request).await?.my)
}

fn seq_of(pointer: repo::ReadPointer) -> ReadPointer {
    ReadPointer::at(u64::try_from(pointer.last_read_seq_id).unwrap_or(0))
}

async fn membership(
    app: &App,
    id: ConversationId,
    user: UserId,
) -> Result<Option<ConversationMember>> {
    if id == ConversationId::World {
        return Ok(None);
    }
    let request = repo::GetMemberRequest {
        conversation_id: id.to_string(),
        user_id: user.to_string(),
    };
    Ok(app.repo.get_member(request).await?.member.map(own))
}

/// One's own membership, with the end of a mute.
pub(crate) fn own(member: ConversationMember) -> ConversationMember {
    with_mute(member, true)
}

/// Members as a member sees them: the ends of mutes are for admins, the owner and the muted one.
pub(crate) fn members_seen_by(
    viewer: UserId,
    standing: Standing,
    members: Vec<ConversationMember>,
) -> Vec<ConversationMember> {
    let viewer = viewer.to_string();
    let sees_all = standing.sees_mute_ends();
    let shown = |member: ConversationMember| {
        let is_self = member.user.as_ref().is_some_and(|user| user.id == viewer);
        with_mute(member, sees_all || is_self)
    };
    members.into_iter().map(shown).collect()
}

/// The membership with the mute that is in force now: one that has ended is none.
fn with_mute(mut member: ConversationMember, end_shown: bool) -> ConversationMember {
    let until = u64::try_from(member.muted_until).unwrap_or(0);
    let mute = Mute::from_columns(member.muted, until.saturating_mul(1_000));
    member.muted = mute.is_active(clock::now_ms());
    member.mute_end_shown = end_shown;
    if !(member.muted && end_shown) {
        member.muted_until = 0;
    }
    member
}

async fn peer(app: &App, id: ConversationId, user: UserId) -> Result<Option<UserInfo>> {
    let Some(peer) = id.peer_of(user) else {
        return Ok(None);
    };
    Ok(app.repo.people(&[peer]).await?.get(&peer).map(brief))
}

/// `GetConversation`: members only.
pub(super) async fn get(
    app: &App,
    request: pb::GetConversationRequest,
) -> Result<pb::GetConversationResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let told = parse::seq(request.at_least_seq_id)?;
    let changed = parse::seq(request.at_least_rev)?;
    let facts = app.repo.facts(id, &[user]).await?;
    let standing = facts.readable_by(user)?;
    // The head comes from the database itself, the conversation perhaps from a copy.
    let (head, rev) = (told.max(facts.head), changed.max(facts.head_rev));
    let stored = stored_from(app, id, head, rev).await?;
    let conversation = seen_by(app, stored, id, user).await?;
    let members = if request.include_members && id != ConversationId::World {
        let request = repo::GetConversationMembersRequest {
            conversation_id: id.to_string(),
            limit: app.limits.members_with_conversation,
            ..Default::default()
        };
        app.repo.get_members(request).await?
    } else {
        Default::default()
    };
    Ok(pb::GetConversationResponse {
        conversation: Some(conversation),
        members: members_seen_by(user, standing, members.members),
        has_more_members: members.has_more,
    })
}

#[cfg(test)]
mod tests {
    use gochat_core::membership::Role;

    use super::*;

    fn member(muted_until: i64) -> ConversationMember {
        let user = UserInfo {
            id: "1".to_owned(),
            ..Default::default()
        };
        ConversationMember {
            user: Some(user),
            muted: true,
            muted_until,
            ..Default::default()
        }
    }

    #[test]
    fn a_mute_that_has_ended_is_not_shown() {
        let seen = own(member(1));
        assert_eq!((seen.muted, seen.muted_until), (false, 0));
        assert!(own(member(0)).muted);
    }

    #[test]
    fn the_end_of_a_mute_is_for_the_muted_one_and_those_who_decide_about_mutes() {
        let end = i64::from(i32::MAX);
        let seen = |viewer: u64, role| {
            let standing = Standing::new(Some(role), false);
            let viewer = UserId::new(viewer).unwrap();
            let member = members_seen_by(viewer, standing, vec![member(end)]).remove(0);
            assert!(member.muted);
            member.mute_end_shown.then_some(member.muted_until)
        };
        assert_eq!(seen(2, Role::Member), None);
        assert_eq!(seen(1, Role::Member), Some(end));
        assert_eq!(seen(2, Role::Admin), Some(end));
    }
}
