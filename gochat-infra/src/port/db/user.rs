//! Users.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::reach::AddedBy;
use gochat_core::token::SessionId;

use super::DbResult;

/// Whether an account may be used; the numbers are those of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum UserStatus {
    /// In use.
    #[default]
    Normal = 0,
    /// Locked by an operator.
    Disabled = 1,
    /// Gone; the row stays so that history keeps its authors.
    Deleted = 2,
}

impl UserStatus {
    /// The status with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            0 => Some(Self::Normal),
            1 => Some(Self::Disabled),
            2 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// A user without the password hash: the hash leaves the store only through
/// [`UserStore::password`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Id.
    pub id: UserId,
    /// Unique name, at most 50 characters.
    pub username: String,
    /// Empty when there is none.
    pub avatar_url: String,
    /// An account without password.
    pub is_guest: bool,
    /// Whether it may be used.
    pub status: UserStatus,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// Number of edits of the profile so far.
    pub version: u64,
    /// Who adds the user to groups without asking.
    pub added_by: AddedBy,
}

/// What other rows show of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserBrief {
    /// Id.
    pub id: UserId,
    /// Name.
    pub username: String,
    /// Empty when there is none.
    pub avatar_url: String,
    /// An account without password.
    pub is_guest: bool,
}

/// A user to be created.
#[derive(Clone)]
pub struct NewUser {
    /// Id made by the caller.
    pub id: UserId,
    /// Unique name: neither another spelling of it nor a name that looks the same is there.
    pub username: String,
    /// PHC text; empty for guests.
    pub password_hash: String,
    /// Empty when there is none.
    pub avatar_url: String,
    /// An account without password.
    pub is_guest: bool,
    /// Creation time.
    pub now: UnixMillis,
}

/// A stored password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRow {
    /// PHC text.
    pub hash: String,
    /// How often the password was changed.
    pub version: u64,
}

/// Asks to change a password.
#[derive(Clone)]
pub struct SetPassword {
    /// Whose.
    pub user: UserId,
    /// PHC text of the new password.
    pub hash: String,
    /// Version that the caller has judged; `None` replaces any (an operator does that).
    pub version: Option<u64>,
    /// Session that goes on; every other one ends.
    pub keep: Option<SessionId>,
    /// Time of the change.
    pub now: UnixMillis,
    /// When the last access token of a session that ends now expires.
    pub tokens_expire_at: UnixMillis,
}

/// Asks to delete an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteUser {
    /// Whose.
    pub user: UserId,
    /// Time of the deletion.
    pub now: UnixMillis,
    /// When the last access token of a session that ends now expires.
    pub tokens_expire_at: UnixMillis,
}

/// Asks to make an account of a guest.
#[derive(Clone)]
pub struct UpgradeGuest {
    /// Which guest.
    pub user: UserId,
    /// Unique name (letters of either case are the same).
    pub username: String,
    /// PHC text of the password.
    pub hash: String,
    /// Time of the change.
    pub now: UnixMillis,
}

/// What to change of a user; `None` leaves the field alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// New avatar; empty removes it.
    pub avatar_url: Option<String>,
    /// New status.
    pub status: Option<UserStatus>,
    /// Who adds the user to groups without asking.
    pub added_by: Option<AddedBy>,
    /// The version the caller saw; the update is refused with `VERSION_CONFLICT` at any other.
    pub expected_version: Option<u64>,
}

/// What a search for users found.
#[derive(Debug, Clone, Default)]
pub struct UserPage {
    /// Names that begin with the query, then names that hold it, each by name.
    pub users: Vec<UserRow>,
    /// `after` of the next page; `None` at the end.
    pub next: Option<(bool, String)>,
}

/// A fuzzy search over usernames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSearch {
    /// Part of a name; letters of either case are the same, `%` and `_` mean themselves.
    pub query: String,
    /// Left out of the answer: the caller.
    pub exclude: Option<UserId>,
    /// Whether guests may appear.
    pub include_guests: bool,
    /// Starts behind this user, who was the last of the page before: whether the query stood inside
    /// the name, and the name.
    pub after: Option<(bool, String)>,
    /// At most this many, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// Accounts.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Creates a user and returns the row.
    ///
    /// A taken name is `Duplicate` with `USER_ALREADY_EXISTS`, also when another name looks the
    /// same (see [`skeleton`](gochat_core::text::skeleton)); of two creators racing for one name
    /// exactly one succeeds. Repeating the call with the same id *and* name returns the stored row.
    async fn create_user(&self, user: NewUser) -> DbResult<UserRow>;

    /// The user with this id, whatever its status.
    async fn user(&self, id: UserId) -> DbResult<Option<UserRow>>;

    /// The users among `ids` that exist, in no particular order, each once.
    async fn users(&self, ids: &[UserId]) -> DbResult<Vec<UserRow>>;

    /// The user with this name; letters of either case and width and both normal forms are the
    /// same.
    async fn user_by_username(&self, username: &str) -> DbResult<Option<UserRow>>;

    /// Users in use whose name contains the query: names that start with it first, then by name.
    async fn search_users(&self, search: UserSearch) -> DbResult<UserPage>;

    /// Changes a user and returns the new row; `USER_NOT_FOUND` when there is none,
    /// `VERSION_CONFLICT` when the profile was edited after the expected version. A status other
    /// than normal ends every session of the user in the same step; `tokens_expire_at` is the time
    /// at which their last access token expires.
    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        now: UnixMillis,
        tokens_expire_at: UnixMillis,
    ) -> DbResult<UserRow>;

    /// The stored password; `None` for unknown users and for guests.
    async fn password(&self, id: UserId) -> DbResult<Option<PasswordRow>>;

    /// Changes the password and ends the user's other sessions, in one step. Refused with
    /// `VERSION_CONFLICT` when the password changed since it was judged, with `USER_NOT_FOUND` when
    /// there is no such account or it is deleted.
    async fn set_password(&self, asked: SetPassword) -> DbResult<()>;

    /// Deletes an account: no password, no picture, another name to be shown; sessions, friendships
    /// and open requests end and read pointers go, in one step. Refused with `VERSION_CONFLICT`
    /// while the user is a member of a living group; whoever is deleted becomes no member. The row
    /// stays so that history keeps its authors, and nobody else gets the name until
    /// [`release_names`](Self::release_names). Repeating it changes nothing; `USER_NOT_FOUND` when
    /// there is none.
    async fn delete_user(&self, asked: DeleteUser) -> DbResult<UserRow>;

    /// Makes an account of a guest; everything else of the user stays. A repeat returns the row. A
    /// taken name is `Duplicate` with `USER_ALREADY_EXISTS`; a user who is no guest under another
    /// name is refused with `FORBIDDEN`.
    async fn upgrade_guest(&self, asked: UpgradeGuest) -> DbResult<UserRow>;

    /// Frees the names of accounts deleted before `before`; returns how many, at most `limit`.
    async fn release_names(&self, before: UnixMillis, limit: u32) -> DbResult<u64>;

    /// Retires guests that were made before `before` and have neither read anything nor used a
    /// session since. The row stays with status deleted (history keeps its author's name); read
    /// pointers and sessions go. Returns at most `limit` ids; call again until empty.
    async fn delete_expired_guests(
        &self,
        before: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> DbResult<Vec<UserId>>;

    /// Gives up to `limit` users whose row is from before names were unique by what they look like their
    /// skeleton, and the key of today's mapping. Returns how many it took; call again until 0. Of
    /// two names that look alike the first keeps the skeleton; the other stays usable and blocks no name.
    async fn complete_names(&self, limit: u32) -> DbResult<usize>;
}
