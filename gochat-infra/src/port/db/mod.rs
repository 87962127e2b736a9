//! The database port: what the services keep for ever.
//!
//! One trait per role. Every method is **one atomic business operation**: it happens completely
//! or not at all, also when the caller's future is dropped half way (a write that was handed over
//! still commits or rolls back as a whole). The documentation of a method is its contract; the
//! suite in `gochat_infra::testsuite` checks it against every adapter.
//!
//! What holds for all of them:
//!
//! * Time is passed in (`now`, Unix milliseconds). No adapter asks a clock for business data.
//! * Ids are produced by the caller; an adapter makes none but the numbers of owed messages, whose
//!   order is that of the transactions.
//! * A list answer never holds more than [`MAX_PAGE`] rows (the fan-out pages have
//!   [`MAX_MEMBER_PAGE`], changes [`MAX_CHANGES_PAGE`]); larger limits are cut, not refused.
//! * Reads see every write that was answered before they started.
//! * `Err` means nothing changed, with one exception: [`DbErrorKind::Unavailable`] leaves it open.
//!   All writes are therefore safe to repeat.
//! * Recalled messages keep their place; their content and extra are empty in every answer.
//!
//! Deliberately absent: generic queries, transactions handed to the caller, `COUNT(*)` over
//! messages, and any method whose cost grows with the number of stored messages.

mod announcement;
mod audit;
mod conversation;
mod error;
mod facts;
mod friend;
mod group_invitation;
mod invitation;
mod join_request;
mod key;
mod link;
mod list;
mod message;
mod migrate;
mod owed_message;
mod own_state;
mod place;
mod session;
mod user;

use std::sync::Arc;

use async_trait::async_trait;

pub use announcement::{
    AnnouncementOutcome, AnnouncementPage, AnnouncementQuery, AnnouncementReader,
    AnnouncementReads, AnnouncementStore,
};
pub use audit::{AuditQuery, AuditRow, AuditStore, MAX_AUDIT_PAGE};
pub use conversation::{
    AddMembers, AddOutcome, ConversationHead, ConversationPatch, ConversationRow,
    ConversationStore, Created, GroupOutcome, MemberEntry, MemberPage, MemberRow, MembersQuery,
    Mute, NewConversation, PageStart, RemoveOutcome,
};
pub use error::{DbError, DbErrorKind, DbResult};
pub use facts::{
    ConversationFacts, FactsOf, FactsRequest, ReactorRow, RecentMessage, Resend, TargetRow,
};
pub use friend::{
    FriendEntry, FriendPage, FriendQuery, FriendRequestEntry, FriendRequestRow, FriendStatus,
    FriendStore, NewFriendRequest, RequestPage, RequestQuery, RequestSide, Respond,
};
pub use group_invitation::{GroupInvitationStore, InvitationRow, NewInvitation};
pub use invitation::InvitationStore;
pub use join_request::{JoinAnswered, JoinRequestRow, JoinRequestStore, NewJoinRequest};
pub use key::{KeyStore, SigningKeyRow};
pub use link::{InvitationLinkStore, LinkRow, NewLink};
pub use list::{ConversationEntry, ListPage, ListQuery, MAX_REMOVED, SearchPage, SearchQuery};
pub use message::{
    ChangesPage, ChangesQuery, Direction, MessageEntry, MessagePage, MessageRow, MessageStore,
    NewChange, NewMessage, PinsPage, QuotedRow, RangeQuery, ReactionEntry, ReactionsPage,
    ReactionsQuery, ReadOutcome, RecallOutcome, SaveOutcome,
};
pub use migrate::{MigrationStatus, Migrator, is_additive};
pub use owed_message::{OwedMessage, OwedMessageStore, OwedQuery};
pub use own_state::{ClearOutcome, HiddenRow, OwnOutcome, OwnStateStore};
pub use place::{PLACES_PER_USER, PlaceStore};
pub use session::{
    EndSessions, EndedAfter, EndedSession, MAX_ENDED, NewSession, RefreshSession, SessionStore,
    Which,
};
pub use user::{
    DeleteUser, NewUser, PasswordRow, SetPassword, UpgradeGuest, UserBrief, UserPage, UserPatch,
    UserRow, UserSearch, UserStatus, UserStore,
};

/// Most rows a page of messages, conversations, friends or users holds.
pub const MAX_PAGE: u32 = 100;

/// Most rows a page of new and changed messages holds.
pub const MAX_CHANGES_PAGE: u32 = 200;

/// Most rows a page of members holds: fan-out walks large groups with these.
pub const MAX_MEMBER_PAGE: u32 = 1_000;

/// All stores of one database together.
#[async_trait]
pub trait Database:
    UserStore
    + ConversationStore
    + MessageStore
    + FriendStore
    + SessionStore
    + GroupInvitationStore
    + InvitationLinkStore
    + OwnStateStore
    + AnnouncementStore
    + OwedMessageStore
    + JoinRequestStore
    + PlaceStore
    + InvitationStore
    + KeyStore
    + AuditStore
    + Migrator
{
    /// Whether the database answers; for readiness, never for liveness.
    async fn ping(&self) -> DbResult<()>;

    /// Finishes what was handed over and lets go of the files or connections. Later calls
    /// answer [`DbErrorKind::Unavailable`].
    async fn close(&self) -> DbResult<()>;
}

/// A database as the services carry it.
pub type SharedDatabase = Arc<dyn Database>;
