//! Friend requests and friends.
//!
//! One table holds both. A request is the row `requester → target`. Accepting it sets the row to
//! accepted and writes the opposite row as a *mirror*, so that somebody's friends are the accepted
//! rows in which they are the requester. Mirrors never show up in lists of requests.

use async_trait::async_trait;
pub use gochat_core::friendship::Status as FriendStatus;
use gochat_core::ids::{RequestId, UnixMillis, UserId};

use super::{DbResult, UserBrief};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendRequestRow {
    /// Id.
    pub id: RequestId,
    /// Who asks.
    pub requester_id: UserId,
    /// Who is asked.
    pub target_id: UserId,
    /// State.
    pub status: FriendStatus,
    /// Words that came with the request.
    pub message: String,
    /// The requester's name for the target.
    pub remark: String,
    /// The second row of an accepted request.
    pub mirrored: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
}

/// A request with both people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendRequestEntry {
    /// The request.
    pub request: FriendRequestRow,
    /// Who asks.
    pub requester: Option<UserBrief>,
    /// Who is asked.
    pub target: Option<UserBrief>,
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFriendRequest {
    /// Id made by the caller; unused when an earlier, rejected row is taken up again.
    pub id: RequestId,
    /// Who asks.
    pub requester: UserId,
    /// Who is asked.
    pub target: UserId,
    /// Words that come with it.
    pub message: String,
    /// Time after a refusal in which the same user isn't asked again, in milliseconds; 0 = none.
    pub cooldown: UnixMillis,
    /// Now.
    pub now: UnixMillis,
}

/// An answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Respond {
    /// Which request.
    pub request: RequestId,
    /// Who answers; must be its target.
    pub handler: UserId,
    /// Accept or reject.
    pub accept: bool,
    /// Id for the mirror row, made by the caller; used only when accepting.
    pub mirror_id: RequestId,
    /// Now.
    pub now: UnixMillis,
}

/// Which requests of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestSide {
    /// Those the user got.
    Received,
    /// Those the user made.
    Sent,
}

/// Asks for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestQuery {
    /// Whose requests.
    pub user: UserId,
    /// Which of them.
    pub side: RequestSide,
    /// Only those of this state.
    pub status: Option<FriendStatus>,
    /// Only rows that changed at this instant or later (incremental sync).
    pub updated_since: Option<UnixMillis>,
    /// Starts behind this request, named by its `updated_at` and id.
    pub after: Option<(UnixMillis, RequestId)>,
    /// At most this many, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestPage {
    /// Last change first, ties by id downwards.
    pub requests: Vec<FriendRequestEntry>,
    /// There are more behind this page.
    pub has_more: bool,
}

/// Asks for friends, or for users who are blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FriendQuery {
    /// Whose friends.
    pub user: UserId,
    /// `Accepted` for friends, `Blocked` for users whom the user blocked.
    pub status: FriendStatus,
    /// Only friends whose row or account changed after this instant (incremental sync).
    pub updated_after: Option<UnixMillis>,
    /// Starts behind this friend; friends are ordered by id.
    pub after: Option<UserId>,
    /// At most this many, cut to [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE).
    pub limit: u32,
}

/// A friend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendEntry {
    /// Who.
    pub friend_id: UserId,
    /// The status that was asked for.
    pub status: FriendStatus,
    /// The user's own name for the friend.
    pub remark: String,
    /// Since when.
    pub created_at: UnixMillis,
    /// When the row last changed.
    pub updated_at: UnixMillis,
    /// The account; `None` when its row is missing.
    pub user: Option<UserBrief>,
}

/// A page of friends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FriendPage {
    /// Ordered by friend id.
    pub friends: Vec<FriendEntry>,
    /// Of friends, with `updated_after`: people who stopped being friends since, as far as this
    /// page goes.
    pub removed: Vec<UserId>,
    /// There are more behind this page.
    pub has_more: bool,
    /// Where the next page starts; `None` at the end.
    pub next: Option<UserId>,
}

/// Friendships.
#[async_trait]
pub trait FriendStore: Send + Sync {
    /// Makes a request, or takes a rejected one of the same direction up again (same row, pending,
    /// new words). Judged inside the transaction, so two who ask each other at once make one request.
    ///
    /// Refused as [`decide_request`](gochat_core::friendship::decide_request) refuses, with the same
    /// codes: both accounts and both directions are read in the transaction that writes.
    async fn create_request(&self, new: NewFriendRequest) -> DbResult<FriendRequestRow>;

    /// The row `requester → target`, mirrors included.
    async fn request_between(
        &self,
        requester: UserId,
        target: UserId,
    ) -> DbResult<Option<FriendRequestRow>>;

    /// A request by id.
    async fn request(&self, id: RequestId) -> DbResult<Option<FriendRequestRow>>;

    /// Answers a request; accepting writes the mirror row in the same transaction.
    ///
    /// Refused as [`decide_answer`](gochat_core::friendship::decide_answer) refuses;
    /// `FRIEND_REQUEST_NOT_FOUND` for unknown ids.
    async fn respond(&self, respond: Respond) -> DbResult<FriendRequestRow>;

    /// A page of a user's requests with both people, mirrors left out.
    async fn requests(&self, query: RequestQuery) -> DbResult<RequestPage>;

    /// A page of friends, or of users who are blocked.
    async fn friends(&self, query: FriendQuery) -> DbResult<FriendPage>;

    /// Whether two users are friends.
    async fn are_friends(&self, a: UserId, b: UserId) -> DbResult<bool>;

    /// Whether one of the two blocked the other.
    async fn are_blocked(&self, a: UserId, b: UserId) -> DbResult<bool>;

    /// The rows between `user` and any of `others`, in both directions, in no particular order.
    async fn relations(&self, user: UserId, others: &[UserId]) -> DbResult<Vec<FriendRequestRow>>;

    /// Ends the friendship of two users and returns whether there was one. Both rows become
    /// rejected and stay as mirrors, so that sync reports the end to both.
    async fn end_friendship(&self, a: UserId, b: UserId, now: UnixMillis) -> DbResult<bool>;

    /// `user` blocks `target` (the row `user → target` becomes blocked; a friendship ends) or
    /// lifts the block (the row becomes rejected). `row_id` is used when there is no row yet.
    /// Returns whether a friendship ended.
    async fn set_blocked(
        &self,
        user: UserId,
        target: UserId,
        blocked: bool,
        row_id: RequestId,
        now: UnixMillis,
    ) -> DbResult<bool>;
}
