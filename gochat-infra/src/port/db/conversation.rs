//! Conversations and their members.

use async_trait::async_trait;
use gochat_core::conversation::Announcement;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{
    ConversationId, ConversationKind, MessageId, Rev, SeqId, UnixMillis, UserId,
};
use gochat_core::membership::{self as core, GroupAct, GroupCommand, GroupDecision, Role};

use super::{
    ConversationFacts, DbError, DbResult, FactsRequest, ListPage, ListQuery, SearchPage,
    SearchQuery, UserBrief,
};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Id; it also says the kind.
    pub id: ConversationId,
    /// Empty for single chats.
    pub name: String,
    /// Empty when there is none.
    pub avatar_url: String,
    /// Empty when there is none.
    pub description: String,
    /// Groups only.
    pub owner_id: Option<UserId>,
    /// Number of member rows; 0 for world.
    pub member_count: u32,
    /// JSON text, empty when nothing was ever set.
    pub settings: String,
    /// Newest stored message.
    pub last_message_id: Option<MessageId>,
    /// Seq of the newest stored message: the head as far as the database knows.
    pub last_seq_id: SeqId,
    /// A dissolved group; its rows stay.
    pub dissolved: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Last message or last change of its data, whichever is newer. Lists are ordered by it.
    pub updated_at: UnixMillis,
    /// Number of edits of name, avatar, description and settings so far.
    pub version: u64,
    /// Number of the newest stored message or change of a message.
    pub last_rev: Rev,
    /// Number of pinned messages.
    pub pinned_count: u32,
    /// Announcement of a group.
    pub announcement: Announcement,
}

/// How far a conversation is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConversationHead {
    /// Identifier of the conversation.
    pub id: ConversationId,
    /// Seq of the newest stored message.
    pub seq: SeqId,
    /// Number of the newest stored message or change of a message.
    pub rev: Rev,
}

impl ConversationRow {
    /// Which kind the id names.
    pub const fn kind(&self) -> ConversationKind {
        match self.id {
            ConversationId::Single(..) => ConversationKind::Single,
            ConversationId::Group(_) => ConversationKind::Group,
            ConversationId::World => ConversationKind::World,
        }
    }
}

/// A conversation to be created, with its first members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConversation {
    /// Id. A single id names its two members.
    pub id: ConversationId,
    /// Who opens it: the owner of a group; for a single chat one of the pair.
    pub creator: UserId,
    /// Other members of a group; repeats and the creator are ignored. Unused for single chats.
    pub members: Vec<UserId>,
    /// Name of a group.
    pub name: String,
    /// Empty when there is none.
    pub avatar_url: String,
    /// Empty when there is none.
    pub description: String,
    /// JSON text.
    pub settings: String,
    /// Creation time.
    pub now: UnixMillis,
}

/// Answer of [`ConversationStore::create_conversation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The row as stored.
    pub conversation: ConversationRow,
    /// It was there before; nothing was written (but a hidden single chat shows again for its
    /// creator).
    pub already_existed: bool,
}

/// What to change of a conversation; `None` leaves the field alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationPatch {
    /// New name.
    pub name: Option<String>,
    /// New avatar.
    pub avatar_url: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New settings, JSON text.
    pub settings: Option<String>,
    /// New announcement; the empty text removes it.
    pub announcement: Option<String>,
    /// What the caller saw as `updated_at`. The update is refused with `VERSION_CONFLICT` when
    /// name, avatar, description or settings changed after that instant (new messages don't
    /// count). A caller that knows only seconds passes the last millisecond of that second.
    pub expected_updated_at: Option<UnixMillis>,
    /// The version the caller saw; the update is refused with `VERSION_CONFLICT` at any other.
    pub expected_version: Option<u64>,
    /// Who edits. The role of this user is judged in the transaction; `None` is the system.
    pub by: Option<UserId>,
}

/// A membership. Roles: 1 member, 2 admin, 3 owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Of which conversation.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// 1 member, 2 admin, 3 owner.
    pub role: i32,
    /// May not send (until `muted_until`, or until further notice when that is `None`).
    pub muted: bool,
    /// End of a timed mute; the reader compares it with its own clock.
    pub muted_until: Option<UnixMillis>,
    /// The user hid this single chat from the list.
    pub hidden: bool,
    /// When the user joined.
    pub joined_at: UnixMillis,
    /// When role, mute or hiding last changed.
    pub updated_at: UnixMillis,
}

/// A member together with the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberEntry {
    /// The membership.
    pub member: MemberRow,
    /// The user; `None` when the account row is missing.
    pub user: Option<UserBrief>,
}

/// Where a page of members starts. Members are ordered by user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// Skips this many; for people who turn pages.
    Offset(u32),
    /// Starts behind this user; for walks that must neither skip nor repeat while members change.
    After(UserId),
}

/// Asks for a page of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersQuery {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Where to start.
    pub start: PageStart,
    /// At most this many, cut to [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE).
    pub limit: u32,
    /// Only this role.
    pub role: Option<i32>,
    /// Only members whose row or account changed after this instant, and who left since
    /// (incremental sync).
    pub updated_after: Option<UnixMillis>,
}

/// A page of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberPage {
    /// Ordered by user id.
    pub members: Vec<MemberEntry>,
    /// All members that match; without `updated_after` only.
    pub total: u64,
    /// There are more behind this page.
    pub has_more: bool,
    /// With `updated_after`: who left or was removed since and is no member now, as far as this
    /// page goes.
    pub removed: Vec<UserId>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<UserId>,
}

/// Users to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddMembers {
    /// To which conversation.
    pub conversation: ConversationId,
    /// Who; repeats are ignored.
    pub users: Vec<UserId>,
    /// 1 member, 2 admin, 3 owner.
    pub role: i32,
    /// Members the conversation may have afterwards; 0 = no limit.
    pub max_members: u32,
    /// Joining time.
    pub now: UnixMillis,
}

/// Who became a member and who did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddOutcome {
    /// New members, in the order asked.
    pub added: Vec<UserId>,
    /// Were members before; unchanged.
    pub already: Vec<UserId>,
    /// Found no room: the conversation is full.
    pub no_room: Vec<UserId>,
    /// Members afterwards.
    pub member_count: u32,
}

/// Answer of [`ConversationStore::remove_member`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveOutcome {
    /// There was such a member.
    pub removed: bool,
    /// Members afterwards.
    pub member_count: u32,
}

/// A member is muted or may speak again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mute {
    /// May not send.
    pub muted: bool,
    /// End of a timed mute.
    pub until: Option<UnixMillis>,
}

/// Answer of [`ConversationStore::command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOutcome {
    /// The row after the command.
    pub conversation: ConversationRow,
    /// What was written, and users the command failed for.
    pub decision: GroupDecision,
}

/// Conversations, memberships, lists and the facts the sequencer judges by.
///
/// World needs no member rows: everybody is in it. It exists from the first migration on.
/// Commands about members and roles are judged by core in the transaction that writes them
/// ([`command`](Self::command)): concurrent commands end as one of their orders would.
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Creates a conversation with its members in one transaction.
    ///
    /// An id that exists is answered with the stored row and `already_existed`; of two creators
    /// of one single chat one creates it and both get the same row. Repeating a lost answer is safe.
    async fn create_conversation(&self, new: NewConversation) -> DbResult<Created>;

    /// The conversation with this id, dissolved ones too.
    async fn conversation(&self, id: ConversationId) -> DbResult<Option<ConversationRow>>;

    /// The conversations among `ids` that exist, in no particular order, each once.
    async fn conversations(&self, ids: &[ConversationId]) -> DbResult<Vec<ConversationRow>>;

    /// The newest stored numbers of each of `ids` that exists, never from a replica. With
    /// `member` only of conversations this user is in; everybody is in the world chat.
    async fn heads(
        &self,
        member: Option<UserId>,
        ids: &[ConversationId],
    ) -> DbResult<Vec<ConversationHead>>;

    /// Changes name, avatar, description, settings or announcement and returns the new row.
    ///
    /// Errors: `CONVERSATION_NOT_FOUND`, `CONVERSATION_DISSOLVED`, `VERSION_CONFLICT`.
    async fn update_conversation(
        &self,
        id: ConversationId,
        patch: ConversationPatch,
        now: UnixMillis,
    ) -> DbResult<ConversationRow>;

    /// Carries out a command about a group's members, roles, mutes or end: holds the group, loads
    /// its state, lets [`decide`](gochat_core::membership::decide) judge the command and writes the
    /// decision, in one transaction.
    ///
    /// New members get read pointers at the present head; removed ones lose theirs. Errors:
    /// `CONVERSATION_NOT_FOUND`, and the refusals of `decide`.
    async fn command(
        &self,
        id: ConversationId,
        command: GroupCommand,
        now: UnixMillis,
    ) -> DbResult<GroupOutcome>;

    /// Marks a group as dissolved, as a command of the system, and returns the row. Members and
    /// messages stay as they are; lists report the conversation as removed. Doing it again changes
    /// nothing.
    async fn dissolve(&self, id: ConversationId, now: UnixMillis) -> DbResult<ConversationRow> {
        let dissolve = GroupCommand::system(GroupAct::Dissolve);
        Ok(self.command(id, dissolve, now).await?.conversation)
    }

    /// Hides a conversation from one member's list until the next message.
    /// `NOT_CONVERSATION_MEMBER` for strangers.
    async fn hide(&self, id: ConversationId, user: UserId, now: UnixMillis) -> DbResult<()>;

    /// One page of a user's conversations, newest activity first, world included.
    ///
    /// **One SQL statement**, however many conversations and messages there are. With
    /// `updated_after` the page holds only what changed since, and `removed` names what left the
    /// list since (hidden, dissolved, no longer a member), a page of its own beside the entries.
    async fn list_for_user(&self, query: ListQuery) -> DbResult<ListPage>;

    /// The user's conversations whose name (for a single chat: the peer's name) contains the query,
    /// newest activity first, in one statement.
    async fn search_conversations(&self, query: SearchQuery) -> DbResult<SearchPage>;

    /// Unread counts: head − pointer, never negative. An empty `ids` asks for all conversations in
    /// the user's list. Conversations the user is not in are left out.
    async fn unread_counts(
        &self,
        user: UserId,
        ids: &[ConversationId],
    ) -> DbResult<Vec<(ConversationId, u64)>>;

    /// Number of messages that name a user, or everybody, beyond the read pointers given; the
    /// user's own messages are not counted. One statement for
    /// [`MAX_PAGE`](super::MAX_PAGE) conversations; those without any are left out. Whether the user
    /// is a member is not looked at.
    async fn unread_mentions(
        &self,
        user: UserId,
        read: &[(ConversationId, SeqId)],
    ) -> DbResult<Vec<(ConversationId, u64)>>;

    /// One page of members.
    async fn members(&self, query: MembersQuery) -> DbResult<MemberPage>;

    /// Ids of members behind `after`, ascending, at most `limit`
    /// ([`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE)): the fan-out walk. Fewer than asked = the end.
    async fn member_ids(
        &self,
        id: ConversationId,
        after: Option<UserId>,
        limit: u32,
    ) -> DbResult<Vec<UserId>>;

    /// One membership.
    async fn member(&self, id: ConversationId, user: UserId) -> DbResult<Option<MemberRow>>;

    /// Members of many conversations in one statement, at most `limit_each` (lowest user ids
    /// first) of each; rows of one conversation stand together.
    async fn members_of_many(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MemberRow>>;

    /// Adds members as a command of the system, the capacity judged in the transaction.
    ///
    /// Errors: `CONVERSATION_NOT_FOUND`, `CONVERSATION_DISSOLVED`.
    async fn add_members(&self, add: AddMembers) -> DbResult<AddOutcome> {
        let role = role_of(add.role)?;
        let capacity = match add.max_members {
            0 => u32::MAX,
            max => max,
        };
        let command = GroupCommand::system(GroupAct::Add {
            users: add.users,
            role,
            capacity: Some(capacity),
        });
        let done = self.command(add.conversation, command, add.now).await?;
        let failed = |code| {
            let of = done
                .decision
                .failed
                .iter()
                .filter(move |f| f.error.code == code);
            of.map(|f| f.user).collect()
        };
        Ok(AddOutcome {
            added: done.decision.added().to_vec(),
            already: failed(ErrorCode::UserAlreadyInConversation),
            no_room: failed(ErrorCode::ConversationFull),
            member_count: done.conversation.member_count,
        })
    }

    /// Removes a member with its read pointer, as a command of the system; removing a stranger
    /// changes nothing. The owner stays: `CANNOT_LEAVE_CONVERSATION`.
    async fn remove_member(
        &self,
        id: ConversationId,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<RemoveOutcome> {
        let command = GroupCommand::system(GroupAct::Remove(user));
        let done = self.command(id, command, now).await?;
        Ok(RemoveOutcome {
            removed: !done.decision.writes.is_empty(),
            member_count: done.conversation.member_count,
        })
    }

    /// Gives a member a role other than owner, as a command of the system, and returns the row;
    /// `NOT_CONVERSATION_MEMBER` for strangers, `INSUFFICIENT_PERMISSION` for the owner.
    async fn set_role(
        &self,
        id: ConversationId,
        user: UserId,
        role: i32,
        now: UnixMillis,
    ) -> DbResult<MemberRow> {
        let command = GroupCommand::system(GroupAct::SetRole(user, role_of(role)?));
        self.command(id, command, now).await?;
        let row = self.member(id, user).await?;
        row.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))
    }

    /// Makes `to` the owner and `from` an admin, as a command of `from`:
    /// `INSUFFICIENT_PERMISSION` when `from` isn't the owner (any more), `USER_NOT_FOUND` when `to`
    /// is no member.
    async fn transfer_ownership(
        &self,
        id: ConversationId,
        from: UserId,
        to: UserId,
        now: UnixMillis,
    ) -> DbResult<ConversationRow> {
        let command = GroupCommand::of(from, GroupAct::SetRole(to, Role::Owner));
        Ok(self.command(id, command, now).await?.conversation)
    }

    /// Mutes a member or lifts the mute, as a command of the system; `NOT_CONVERSATION_MEMBER` for
    /// strangers.
    async fn set_mute(
        &self,
        id: ConversationId,
        user: UserId,
        mute: Mute,
        now: UnixMillis,
    ) -> DbResult<MemberRow> {
        let mute = core::Mute::from_columns(mute.muted, mute.until.unwrap_or(0));
        let command = GroupCommand::system(GroupAct::Mute(user, mute));
        self.command(id, command, now).await?;
        let row = self.member(id, user).await?;
        row.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))
    }

    /// Everything the sequencer needs to judge messages of many conversations, in a number of
    /// statements that doesn't depend on how many are asked. One answer per distinct conversation,
    /// in the order first asked; all of one snapshot.
    async fn facts(&self, request: FactsRequest) -> DbResult<Vec<ConversationFacts>>;
}

fn role_of(number: i32) -> DbResult<Role> {
    Role::from_i32(number).ok_or_else(|| DbError::refused(ErrorCode::InvalidParams))
}
