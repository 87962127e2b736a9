//! Rows of the database as messages of the wire. Times become Unix seconds, ids text.

use std::mem::take;

use gochat_core::conversation::Announcement;
use gochat_core::ids::{ConversationId, ConversationKind, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::membership::{FailedUser, GroupDecision, Role};
use gochat_core::message::{Emoji, Forwarded, References, Reply, Tally};
use gochat_core::own_state::OwnState;
use gochat_core::receipt;
use gochat_infra::port::db::{
    ConversationEntry, ConversationRow, FriendEntry, FriendRequestEntry, FriendRequestRow,
    InvitationRow, JoinRequestRow, LinkRow, MemberEntry, MemberRow, MessageEntry, MessageRow,
    QuotedRow, ReactionEntry, ReactorRow, RecentMessage, TargetRow, UserBrief, UserRow, UserStatus,
};
use gochat_infra::port::presence::Status as Presence;
use gochat_proto::common::v1 as common;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashMap;

/// Unix seconds.
pub(crate) fn seconds(millis: UnixMillis) -> i64 {
    i64::try_from(millis / 1_000).unwrap_or(i64::MAX)
}

/// A count or sequence number as the wire writes it.
pub(crate) fn wide(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A small count as the wire writes it.
pub(crate) fn narrow(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A count of things in memory as the wire writes it.
pub(crate) fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// The database counts from 0, the wire from 1.
fn user_status(status: UserStatus) -> common::UserStatus {
    match status {
        UserStatus::Normal => common::UserStatus::Normal,
        UserStatus::Disabled => common::UserStatus::Disabled,
        UserStatus::Deleted => common::UserStatus::Deleted,
    }
}

/// A user without secrets.
pub(crate) fn user(row: &UserRow) -> common::User {
    common::User {
        id: row.id.to_string(),
        username: row.username.clone(),
        avatar_url: row.avatar_url.clone(),
        is_guest: row.is_guest,
        status: user_status(row.status) as i32,
        created_at: seconds(row.created_at),
        updated_at: seconds(row.updated_at),
        version: wide(row.version),
        added_by: row.added_by as i32,
    }
}

/// What others see of a user.
pub(crate) fn user_info(brief: &UserBrief) -> common::UserInfo {
    common::UserInfo {
        id: brief.id.to_string(),
        username: brief.username.clone(),
        avatar_url: brief.avatar_url.clone(),
        is_guest: brief.is_guest,
    }
}

/// What others see of a user that was read whole.
pub(crate) fn info_of(user: &common::User) -> common::UserInfo {
    common::UserInfo {
        id: user.id.clone(),
        username: user.username.clone(),
        avatar_url: user.avatar_url.clone(),
        is_guest: user.is_guest,
    }
}

/// A user of whom only the id is left.
fn nameless(id: UserId) -> common::UserInfo {
    common::UserInfo {
        id: id.to_string(),
        ..Default::default()
    }
}

fn info_or_id(brief: Option<&UserBrief>, id: UserId) -> common::UserInfo {
    brief.map_or_else(|| nameless(id), user_info)
}

/// A conversation without anybody's view of it.
pub(crate) fn conversation(row: &ConversationRow) -> common::Conversation {
    common::Conversation {
        id: row.id.to_string(),
        r#type: row.kind() as i32,
        name: row.name.clone(),
        avatar_url: row.avatar_url.clone(),
        description: row.description.clone(),
        owner_id: row.owner_id.map(|id| id.to_string()).unwrap_or_default(),
        member_count: narrow(row.member_count),
        updated_at: seconds(row.updated_at),
        created_at: seconds(row.created_at),
        settings: row.settings.clone(),
        last_activity_at: seconds(row.updated_at),
        last_seq_id: wide(row.last_seq_id),
        version: wide(row.version),
        last_rev: wide(row.last_rev),
        pinned_count: narrow(row.pinned_count),
        announcement: announcement(&row.announcement),
        ..Default::default()
    }
}

/// An announcement, without what was read of it; `None` when there is none.
fn announcement(stored: &Announcement) -> Option<common::Announcement> {
    stored.is_shown().then(|| common::Announcement {
        text: stored.text.clone(),
        updated_at: seconds(stored.at),
        operator_id: stored.by.map(|id| id.to_string()).unwrap_or_default(),
        version: wide(stored.version),
        ..Default::default()
    })
}

/// A line of a user's list. `mentions` are the unread ones of conversations that have any, `late` the
/// numbers that were waited for in vain.
pub(crate) fn list_entry(
    entry: &ConversationEntry,
    parts: ListParts,
    mentions: &HashMap<ConversationId, u64>,
    late: &[(ConversationId, SeqId)],
) -> common::Conversation {
    let row = &entry.conversation;
    let mut line = conversation(row);
    if row.kind() == ConversationKind::Single
        && let Some(peer) = &entry.peer
    {
        line.name.clone_from(&peer.username);
        line.avatar_url.clone_from(&peer.avatar_url);
        line.peer = Some(user_info(peer));
    }
    let last = entry.last_message.as_ref();
    line.last_activity_at = seconds(last.map_or(row.created_at, |m| m.message.created_at));
    let cleared_up_to = entry.own.as_ref().map_or(0, |own| own.cleared_up_to);
    let last = last.filter(|last| parts.last_message && last.message.seq_id > cleared_up_to);
    let is_hidden = entry.last_hidden;
    line.last_message = last.map(|entry| {
        let mut message = message(entry);
        if is_hidden {
            message = emptied(message);
        }
        if !parts.sender {
            message.sender = Some(nameless(entry.message.sender_id));
        }
        message
    });
    let awaited = late.iter().find(|(id, _)| *id == row.id);
    line.awaited_seq_id = awaited.map_or(0, |(_, seq)| wide(*seq));
    line.unread_count = wide(entry.unread);
    line.unread_mentions = wide(mentions.get(&row.id).copied().unwrap_or(0));
    line.last_read_seq_id = wide(entry.last_read_seq_id);
    let is_shown =
        row.kind() == ConversationKind::Single && receipt::are_shown(&row.settings, entry.blocked);
    line.peer_last_read_seq_id = is_shown.then_some(wide(entry.peer_read_seq_id));
    line.my = Some(entry.own.as_ref().map(own_state).unwrap_or_default());
    line.my_membership = entry.membership.as_ref().map(|row| member(row, None));
    line
}

/// How much of a list entry the caller wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListParts {
    /// The newest message.
    pub(crate) last_message: bool,
    /// Its author's name.
    pub(crate) sender: bool,
}

/// Own state of a conversation, as the protocol has it.
pub(crate) fn own_state(state: &OwnState) -> common::OwnState {
    common::OwnState {
        mute_until: state.mute_until,
        pinned: state.is_pinned,
        archived: state.is_archived,
        marked_unread: state.is_marked_unread,
        draft: state.draft.clone(),
        version: wide(state.version),
        cleared_up_to: wide(state.cleared_up_to),
        hidden_count: state.hidden_count,
    }
}

/// A membership.
pub(crate) fn member(
    row: &MemberRow,
    user: Option<common::UserInfo>,
) -> common::ConversationMember {
    common::ConversationMember {
        user: Some(user.unwrap_or_else(|| nameless(row.user_id))),
        role: row.role,
        muted: row.muted,
        joined_at: seconds(row.joined_at),
        updated_at: seconds(row.updated_at),
        conversation_id: row.conversation_id.to_string(),
        muted_until: row.muted_until.map_or(0, seconds),
        // im-logic decides who sees it.
        mute_end_shown: false,
    }
}

/// A membership with its user.
pub(crate) fn member_entry(entry: &MemberEntry) -> common::ConversationMember {
    member(&entry.member, entry.user.as_ref().map(user_info))
}

/// A member as GroupService shows it.
pub(crate) fn group_member(member: common::ConversationMember) -> repo::GroupMember {
    repo::GroupMember {
        user_id: member
            .user
            .as_ref()
            .map(|user| user.id.clone())
            .unwrap_or_default(),
        group_id: member.conversation_id,
        role: member.role,
        joined_at: member.joined_at,
        user: member.user,
    }
}

/// A conversation as GroupService shows it.
pub(crate) fn group(conversation: common::Conversation) -> repo::Group {
    repo::Group {
        id: conversation.id,
        name: conversation.name,
        avatar_url: conversation.avatar_url,
        description: conversation.description,
        owner_id: conversation.owner_id,
        member_count: conversation.member_count,
        created_at: conversation.created_at,
        updated_at: conversation.updated_at,
    }
}

/// What the sequencer needs of a member.
pub(crate) fn member_fact(row: &MemberRow) -> repo::MemberFact {
    repo::MemberFact {
        user_id: row.user_id.to_string(),
        role: row.role,
        muted: row.muted,
        muted_until: row.muted_until.map_or(0, seconds),
    }
}

/// What recognises a resend.
pub(crate) fn recent(row: &RecentMessage) -> repo::RecentMessage {
    repo::RecentMessage {
        sender_id: row.sender_id.to_string(),
        client_msg_id: row.client_msg_id.clone(),
        message_id: row.message_id.to_string(),
        seq_id: wide(row.seq_id),
        created_at: seconds(row.created_at),
        rev: wide(row.rev),
        is_change: row.is_change,
    }
}

/// What a change of a message is judged by.
pub(crate) fn target(row: &TargetRow) -> repo::TargetFact {
    repo::TargetFact {
        message_id: row.message_id.as_i64(),
        seq_id: wide(row.seq_id),
        sender_id: row.sender_id.to_string(),
        created_at: seconds(row.created_at),
        deleted: row.deleted,
        edit_count: narrow(row.edit_count),
        reactions: reactions(&row.reactions),
        pinned: row.pinned,
        message_type: row.message_type,
        excerpt: row.excerpt.clone(),
    }
}

/// What users reacted with who are about to react: one entry per user and message.
pub(crate) fn reactors(rows: &[ReactorRow]) -> Vec<repo::ReactorFact> {
    let mut facts: Vec<repo::ReactorFact> = Vec::new();
    let mut places: HashMap<(MessageId, UserId), usize> = HashMap::new();
    for row in rows {
        let place = *places
            .entry((row.message_id, row.user_id))
            .or_insert_with(|| {
                facts.push(repo::ReactorFact {
                    message_id: row.message_id.as_i64(),
                    user_id: row.user_id.to_string(),
                    emoji: Vec::new(),
                });
                facts.len() - 1
            });
        facts[place].emoji.push(row.emoji.to_string());
    }
    facts
}

/// How often each emoji stands under a message, whoever asks.
fn reactions(tally: &Tally) -> Vec<common::Reaction> {
    let reaction = |(emoji, count): &(Emoji, u32)| common::Reaction {
        emoji: emoji.to_string(),
        count: *count,
        mine: false,
    };
    tally.counts().iter().map(reaction).collect()
}

/// A reaction with its user.
pub(crate) fn user_reaction(entry: &ReactionEntry) -> repo::UserReaction {
    repo::UserReaction {
        emoji: entry.emoji.to_string(),
        user: Some(info_or_id(entry.user.as_ref(), entry.user_id)),
        created_at: seconds(entry.created_at),
        rev: wide(entry.rev),
    }
}

/// A reaction of the user who was asked about.
pub(crate) fn own_reaction(message: MessageId, emoji: Emoji) -> repo::OwnReaction {
    repo::OwnReaction {
        message_id: message.to_string(),
        emoji: emoji.to_string(),
    }
}

/// A message that is answered, as far as the answer itself tells.
fn quote(reply: &Reply) -> common::Quote {
    common::Quote {
        message_id: reply.id.to_string(),
        seq_id: wide(reply.seq),
        sender_id: reply.by.to_string(),
        ..Default::default()
    }
}

/// A message that is answered, as it is now.
pub(crate) fn quoted(row: &QuotedRow) -> common::Quote {
    common::Quote {
        message_id: row.id.to_string(),
        seq_id: wide(row.seq_id),
        sender_id: row.sender_id.to_string(),
        r#type: row.message_type,
        excerpt: row.excerpt.clone(),
        edited: row.edit_count > 0,
        recalled: row.deleted,
        created_at: seconds(row.created_at),
    }
}

fn forwarded(from: &Forwarded) -> common::Forwarded {
    common::Forwarded {
        message_id: from.id.to_string(),
        conversation_id: from.from.map(|id| id.to_string()).unwrap_or_default(),
        sender_id: from.by.to_string(),
        sender_name: from.name.clone(),
    }
}

fn mention_ids(references: &References) -> Vec<String> {
    references.mentions.iter().map(UserId::to_string).collect()
}

/// A message as the common types show it.
pub(crate) fn message(entry: &MessageEntry) -> common::Message {
    let row = &entry.message;
    let references = row.references.as_deref();
    common::Message {
        id: row.id.to_string(),
        conversation_id: row.conversation_id.to_string(),
        sender: Some(info_or_id(entry.sender.as_ref(), row.sender_id)),
        r#type: row.message_type,
        content: row.content.clone(),
        seq_id: wide(row.seq_id),
        client_msg_id: row.client_msg_id.clone().unwrap_or_default(),
        deleted: row.deleted,
        extra: row.extra.clone().unwrap_or_default(),
        created_at: seconds(row.created_at),
        updated_at: seconds(row.updated_at),
        rev: wide(row.rev),
        edited_at: row.edited_at.map_or(0, seconds),
        edit_count: narrow(row.edit_count),
        reactions: reactions(&row.reactions),
        pinned: row.pinned,
        reply_to: references.and_then(|refs| refs.reply.as_ref()).map(quote),
        mention_ids: references.map(mention_ids).unwrap_or_default(),
        mention_all: references.is_some_and(|refs| refs.mention_all),
        forwarded_from: references
            .and_then(|refs| refs.forwarded.as_ref())
            .map(forwarded),
        hidden: false,
    }
}

/// Takes away what a message says, for a reader who deleted it for themselves.
pub(crate) fn emptied(message: common::Message) -> common::Message {
    common::Message {
        hidden: true,
        id: message.id,
        conversation_id: message.conversation_id,
        sender: message.sender,
        r#type: message.r#type,
        seq_id: message.seq_id,
        deleted: message.deleted,
        created_at: message.created_at,
        updated_at: message.updated_at,
        rev: message.rev,
        edited_at: message.edited_at,
        edit_count: message.edit_count,
        ..Default::default()
    }
}

/// The same for a message as im-repo shows it.
pub(crate) fn empty(message: &mut repo::RepoMessage) {
    *message = repo::RepoMessage {
        hidden: true,
        id: take(&mut message.id),
        conversation_id: take(&mut message.conversation_id),
        sender_id: take(&mut message.sender_id),
        sender: message.sender.take(),
        message_type: message.message_type,
        seq_id: message.seq_id,
        deleted: message.deleted,
        created_at: message.created_at,
        updated_at: message.updated_at,
        rev: message.rev,
        edited_at: message.edited_at,
        edit_count: message.edit_count,
        ..Default::default()
    };
}

/// A message as im-repo shows it.
pub(crate) fn repo_message(row: MessageRow, sender: Option<&UserBrief>) -> repo::RepoMessage {
    let references = row.references.as_deref();
    repo::RepoMessage {
        id: row.id.to_string(),
        conversation_id: row.conversation_id.to_string(),
        sender_id: row.sender_id.to_string(),
        message_type: row.message_type,
        content: row.content,
        seq_id: wide(row.seq_id),
        created_at: seconds(row.created_at),
        updated_at: seconds(row.updated_at),
        deleted: row.deleted,
        extra: row.extra.unwrap_or_default(),
        client_msg_id: row.client_msg_id.unwrap_or_default(),
        sender: sender.map(user_info),
        rev: wide(row.rev),
        edited_at: row.edited_at.map_or(0, seconds),
        edit_count: narrow(row.edit_count),
        reactions: reactions(&row.reactions),
        pinned: row.pinned,
        reply_to: references.and_then(|refs| refs.reply.as_ref()).map(quote),
        mention_ids: references.map(mention_ids).unwrap_or_default(),
        mention_all: references.is_some_and(|refs| refs.mention_all),
        forwarded_from: references
            .and_then(|refs| refs.forwarded.as_ref())
            .map(forwarded),
        hidden: false,
    }
}

/// A message with its author.
pub(crate) fn repo_message_entry(entry: MessageEntry) -> repo::RepoMessage {
    repo_message(entry.message, entry.sender.as_ref())
}

/// A friend.
pub(crate) fn friend(entry: &FriendEntry) -> repo::Friend {
    repo::Friend {
        friend_id: entry.friend_id.to_string(),
        status: entry.status as i32,
        remark: entry.remark.clone(),
        created_at: seconds(entry.created_at),
        updated_at: seconds(entry.updated_at),
        user: Some(info_or_id(entry.user.as_ref(), entry.friend_id)),
    }
}

/// A friend request; the two accounts are added by the caller.
pub(crate) fn friend_request(row: &FriendRequestRow) -> repo::FriendRequest {
    repo::FriendRequest {
        id: row.id.to_string(),
        requester_id: row.requester_id.to_string(),
        target_id: row.target_id.to_string(),
        status: row.status as i32,
        message: row.message.clone(),
        created_at: seconds(row.created_at),
        updated_at: seconds(row.updated_at),
        requester: None,
        target: None,
    }
}

/// A friend request with both people.
pub(crate) fn friend_request_entry(entry: &FriendRequestEntry) -> repo::FriendRequest {
    repo::FriendRequest {
        requester: entry.requester.as_ref().map(brief_user),
        target: entry.target.as_ref().map(brief_user),
        ..friend_request(&entry.request)
    }
}

/// One direction between two users.
pub(crate) fn relation(row: &FriendRequestRow) -> repo::Relation {
    repo::Relation {
        request_id: row.id.to_string(),
        requester_id: row.requester_id.to_string(),
        target_id: row.target_id.to_string(),
        status: row.status as i32,
        mirrored: row.mirrored,
        updated_at: seconds(row.updated_at),
    }
}

/// What a brief tells of an account; status and times stay unset.
fn brief_user(brief: &UserBrief) -> common::User {
    common::User {
        id: brief.id.to_string(),
        username: brief.username.clone(),
        avatar_url: brief.avatar_url.clone(),
        is_guest: brief.is_guest,
        ..Default::default()
    }
}

/// Whether and where a user is connected.
pub(crate) fn online_status(user: UserId, presence: Presence) -> repo::OnlineStatus {
    repo::OnlineStatus {
        user_id: user.to_string(),
        is_online: presence.is_online(),
        gateway_id: presence
            .gateways
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        last_seen: presence.last_seen.map_or(0, seconds),
        client_info: presence.client_info.into(),
        gateway_ids: presence.gateways.into_iter().map(String::from).collect(),
    }
}

/// An invitation without the group.
pub(crate) fn invitation(row: &InvitationRow) -> repo::Invitation {
    repo::Invitation {
        id: row.id.to_string(),
        conversation_id: row.conversation_id.to_string(),
        user_id: row.user_id.to_string(),
        inviter_id: row.inviter_id.to_string(),
        created_at: seconds(row.created_at),
        expires_at: seconds(row.expires_at),
        ..Default::default()
    }
}

/// An invitation link.
pub(crate) fn link(row: &LinkRow) -> common::InvitationLink {
    common::InvitationLink {
        code: row.code.clone(),
        conversation_id: row.conversation_id.to_string(),
        creator_id: row.creator_id.to_string(),
        max_uses: narrow(row.max_uses),
        uses: narrow(row.used),
        created_at: seconds(row.created_at),
        expires_at: seconds(row.expires_at),
    }
}

/// A request to join, with the asker where known.
pub(crate) fn join_request(
    row: &JoinRequestRow,
    user: Option<common::UserInfo>,
) -> common::JoinRequest {
    common::JoinRequest {
        id: row.id.to_string(),
        conversation_id: row.conversation_id.to_string(),
        user_id: row.user_id.to_string(),
        user,
        status: row.status as i32,
        text: row.text.clone(),
        created_at: seconds(row.created_at),
        changed_at: seconds(row.changed_at),
        expires_at: seconds(row.expires_at),
    }
}

/// A user for whom a command failed.
pub(crate) fn failure(failed: &FailedUser) -> repo::MemberFailure {
    repo::MemberFailure {
        user_id: failed.user.to_string(),
        error_code: failed.error.code.number(),
    }
}

/// The roles that a command changed.
pub(crate) fn role_changes(decision: &GroupDecision) -> Vec<repo::RoleChange> {
    let change = |(user, old, new): (UserId, Role, Role)| repo::RoleChange {
        user_id: user.to_string(),
        old_role: old as i32,
        new_role: new as i32,
    };
    decision.role_changes().into_iter().map(change).collect()
}
