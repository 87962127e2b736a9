//! One conversation, as one user sees it.

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::read::ReadPointer;
use gochat_proto::common::v1::{Conversation, ConversationMember, User, UserInfo};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::visible;
use crate::app::App;
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
    stored_from(app, id, 0).await
}

/// The stored conversation with everything up to a number; `awaited_seq_id` is set when the number
/// was not reached in time.
async fn stored_from(app: &App, id: ConversationId, at_least: SeqId) -> Result<Conversation> {
    let request = repo::GetConversationRequest {
        conversation_id: id.to_string(),
        at_least_seq_id: i64::try_from(at_least).unwrap_or(i64::MAX),
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
    let (pointers, membership, peer) = tokio::try_join!(
        pointers(app, id, user),
        membership(app, id, user),
        peer(app, id, user)
    )?;
    let pointer = seq_of(pointers.pointer.unwrap_or_default());
    conversation.peer_last_read_seq_id = pointers.peer_last_read_seq_id;
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

/// How far the user has read, and in a single chat the peer.
async fn pointers(
    app: &App,
    id: ConversationId,
    user: UserId,
) -> Result<repo::GetReadPointerResponse> {
    let request = repo::GetReadPointerRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        with_peer: true,
    };
    app.repo.get_read_pointer(request).await
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
    Ok(app.repo.get_member(request).await?.member)
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
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    // The head comes from the database itself, the conversation perhaps from a copy.
    let stored = stored_from(app, id, told.max(facts.head)).await?;
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
        members: members.members,
        has_more_members: members.has_more,
    })
}
