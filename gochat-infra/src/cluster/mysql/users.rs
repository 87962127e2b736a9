//! Users.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::text::username_key;
use gochat_core::token::EndReason;

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, binds, execute, first, json_array, one, rows, statements};
use super::replica::Key;
use super::run::{Around, work};
use super::sessions;
use crate::port::db::{
    DbError, DbResult, DeleteUser, EndSessions, MAX_PAGE, NewUser, PasswordRow, SetPassword,
    UpgradeGuest, UserPage, UserPatch, UserRow, UserSearch, UserStatus, UserStore, Which,
};
use crate::sql::names::{NameKeys, no_skeleton};
use crate::sql::pages;
use crate::sql::row::columns;

/// Users of a JSON array in `?1`.
macro_rules! listed {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j"
    };
}

statements! {
    Insert = "INSERT INTO users (id, username, username_key, password_hash, avatar_url, is_guest, \
              created_at, updated_at, name_skeleton) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)";
    ById = concat!("SELECT ", columns!(user "u"), " FROM users u WHERE u.id = ?1");
    ByIds = concat!(
        "SELECT ", columns!(user "u"), " FROM (SELECT DISTINCT id FROM ", listed!(), ") d \
         STRAIGHT_JOIN users u ON u.id = d.id"
    );
    ByKey = concat!("SELECT ", columns!(user "u"), " FROM users u WHERE u.username_key = ?1");
    IdBySkeleton = "SELECT id FROM users WHERE name_skeleton = ?1";
    Incomplete = "SELECT id, username FROM users WHERE name_skeleton IS NULL ORDER BY id LIMIT ?1";
    SetKey = "UPDATE IGNORE users SET username_key = ?2 WHERE id = ?1";
    SetSkeleton = "UPDATE IGNORE users SET name_skeleton = ?2 \
                   WHERE id = ?1 AND name_skeleton IS NULL";
    // The first arm is a range of the index, the second a scan of it.
    SearchPrefix = concat!(
        "SELECT ", columns!(user "u"), " FROM users u \
         WHERE u.username_key >= ?1 AND u.username_key < ?2 AND u.status = 0 AND u.id <> ?3 \
         AND u.is_guest <= ?4 AND u.username_key > ?6 ORDER BY u.username_key LIMIT ?5"
    );
    SearchInside = concat!(
        "SELECT ", columns!(user "u"), " FROM users u \
         WHERE LOCATE(?1, u.username_key) > 1 AND u.status = 0 AND u.id <> ?2 \
         AND u.is_guest <= ?3 AND u.username_key > ?5 ORDER BY u.username_key LIMIT ?4"
    );
    // The version counts edits of the profile; a status is no edit.
    Update = "UPDATE users SET avatar_url = COALESCE(?2, avatar_url), \
              status = COALESCE(?3, status), updated_at = GREATEST(updated_at, ?4), \
              version = version + (?2 IS NOT NULL OR ?6 IS NOT NULL), \
              added_by = COALESCE(?6, added_by) WHERE id = ?1 AND (?5 < 0 OR version = ?5)";
    Password = "SELECT password_hash, password_version FROM users \
                WHERE id = ?1 AND password_hash <> ''";
    Judged = "SELECT status, password_version FROM users WHERE id = ?1 FOR UPDATE";
    SetPasswordOf = "UPDATE users SET password_hash = ?2, password_version = password_version + 1, \
                     updated_at = GREATEST(updated_at, ?3) WHERE id = ?1";
    // The key stays: the name is taken until it is released.
    Delete = "UPDATE users SET status = 2, username = CONCAT('deleted_', id), avatar_url = '', \
              password_hash = '', password_version = password_version + 1, deleted_at = ?2, version = version + 1, \
              updated_at = GREATEST(updated_at, ?2) WHERE id = ?1 AND status <> 2";
    IsInGroup = "SELECT EXISTS (SELECT 1 FROM conversation_members m \
                 JOIN conversations c ON c.id = m.conversation_id \
                 WHERE m.user_id = ?1 AND c.type = 2 AND c.dissolved = 0)";
    Counterparts = "SELECT target_id FROM friendship_requests \
                    WHERE requester_id = ?1 AND status IN (0, 1) \
                    UNION SELECT requester_id FROM friendship_requests \
                    WHERE target_id = ?1 AND status IN (0, 1)";
    // MySQL assigns from left to right: the status that decides must change last.
    EndAsked = "UPDATE friendship_requests SET \
                mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, status = 2, \
                updated_at = GREATEST(updated_at, ?2) \
                WHERE requester_id = ?1 AND status IN (0, 1)";
    EndReceived = "UPDATE friendship_requests SET \
                   mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, status = 2, \
                   updated_at = GREATEST(updated_at, ?2) \
                   WHERE target_id = ?1 AND status IN (0, 1)";
    Upgrade = "UPDATE users SET username = ?2, username_key = ?3, password_hash = ?4, is_guest = 0, name_skeleton = ?6, \
               version = version + 1, password_version = password_version + 1, updated_at = GREATEST(updated_at, ?5) \
               WHERE id = ?1 AND is_guest = 1 AND status = 0";
    // No name begins with a space, so the key is free.
    Release = "UPDATE users SET username_key = CONCAT(' ', id), name_skeleton = CONCAT(' ', id), deleted_at = NULL \
               WHERE deleted_at <= ?1 AND status = 2 ORDER BY deleted_at LIMIT ?2";
    ExpiredGuests = "SELECT u.id FROM users u \
        WHERE u.is_guest = 1 AND u.status <> 2 AND u.created_at < ?1 \
        AND NOT EXISTS (SELECT 1 FROM user_read_pointers p \
                        WHERE p.user_id = u.id AND p.updated_at >= ?1) \
        AND NOT EXISTS (SELECT 1 FROM sessions t \
                        WHERE t.user_id = u.id AND t.last_used_at >= ?1) \
        ORDER BY u.created_at LIMIT ?2";
    Retire = concat!(
        "UPDATE ", listed!(), " STRAIGHT_JOIN users u ON u.id = j.id \
         SET u.status = 2, u.avatar_url = '', u.updated_at = ?2"
    );
    DropPointers = concat!(
        "DELETE p FROM ", listed!(), " STRAIGHT_JOIN user_read_pointers p ON p.user_id = j.id"
    );
    DropPointersOf = "DELETE FROM user_read_pointers WHERE user_id = ?1";
    DropStates = concat!(
        "DELETE st FROM ", listed!(), " STRAIGHT_JOIN conversation_states st ON st.user_id = j.id"
    );
    DropStatesOf = "DELETE FROM conversation_states WHERE user_id = ?1";
    DropHidden = concat!(
        "DELETE h FROM ", listed!(), " STRAIGHT_JOIN hidden_messages h ON h.user_id = j.id"
    );
    DropHiddenOf = "DELETE FROM hidden_messages WHERE user_id = ?1";
    DropSessions = concat!(
        "DELETE t FROM ", listed!(), " STRAIGHT_JOIN sessions t ON t.user_id = j.id"
    );
}

pub(super) async fn by_id(conn: &mut Conn, id: &UserId) -> DbResult<Option<UserRow>> {
    first::<ById, _>(conn, &binds![*id]).await
}

async fn by_ids(conn: &mut Conn, ids: &String) -> DbResult<Vec<UserRow>> {
    rows::<ByIds, _>(conn, &binds![ids]).await
}

async fn by_key(conn: &mut Conn, key: &String) -> DbResult<Option<UserRow>> {
    first::<ByKey, _>(conn, &binds![key]).await
}

async fn by_skeleton(conn: &mut Conn, skeleton: &String) -> DbResult<Option<UserId>> {
    first::<IdBySkeleton, _>(conn, &binds![skeleton]).await
}

async fn complete_names(conn: &mut Conn, &limit: &u32) -> DbResult<usize> {
    let incomplete: Vec<(UserId, String)> = rows::<Incomplete, _>(conn, &binds![limit]).await?;
    for (id, username) in &incomplete {
        let NameKeys { key, skeleton } = NameKeys::of(username);
        execute::<SetKey>(conn, &binds![*id, &key]).await?;
        execute::<SetSkeleton>(conn, &binds![*id, &skeleton]).await?;
        // Changes something only if another row looks the same.
        let none = no_skeleton(*id);
        execute::<SetSkeleton>(conn, &binds![*id, &none]).await?;
    }
    Ok(incomplete.len())
}

async fn create(conn: &mut Conn, user: &NewUser) -> DbResult<UserRow> {
    let NameKeys { key, skeleton } = NameKeys::of(&user.username);
    let binds = binds![
        user.id,
        &user.username,
        &key,
        &user.password_hash,
        &user.avatar_url,
        user.is_guest,
        At(user.now),
        &skeleton,
    ];
    match execute::<Insert>(conn, &binds).await {
        Err(e) if fault::class(&e) != Class::Duplicate => return Err(e),
        _ => {}
    }
    match by_key(conn, &key).await? {
        Some(row) if row.id == user.id => Ok(row),
        Some(_) => Err(DbError::duplicate(ErrorCode::UserAlreadyExists)),
        None if by_skeleton(conn, &skeleton).await?.is_some() => {
            Err(DbError::duplicate(ErrorCode::UserAlreadyExists))
        }
        // The insert did nothing and the name is free: the id is taken, which the makers of ids rule out.
        None => Err(DbError::internal("the id of a new user is taken")),
    }
}

async fn search(conn: &mut Conn, search: &UserSearch) -> DbResult<UserPage> {
    let limit = search.limit.min(MAX_PAGE);
    let needle = username_key(&search.query);
    if needle.is_empty() || limit == 0 {
        return Ok(UserPage::default());
    }
    let exclude = search.exclude.map_or(-1, UserId::as_i64);
    // No text that starts with the needle sorts behind the needle and the last code point.
    let end = format!("{needle}{}", char::MAX);
    let guests = search.include_guests;
    let (inside, last) = match &search.after {
        Some((inside, name)) => (*inside, username_key(name)),
        None => (false, String::new()),
    };
    let mut users: Vec<UserRow> = Vec::new();
    if !inside {
        let binds = binds![&needle, &end, exclude, guests, limit + 1, &last];
        users = rows::<SearchPrefix, _>(conn, &binds).await?;
    }
    let begin = users.len();
    let room = (limit + 1).saturating_sub(u32::try_from(begin).unwrap_or(limit));
    if room > 0 {
        let last = if inside { last } else { String::new() };
        let binds = binds![&needle, exclude, guests, room, &last];
        users.extend(rows::<SearchInside, UserRow>(conn, &binds).await?);
    }
    let has_more = pages::cut(&mut users, limit);
    let last = users.last().filter(|_| has_more);
    let next = last.map(|last| (users.len() > begin, last.username.clone()));
    Ok(UserPage { users, next })
}

async fn update(
    conn: &mut Conn,
    (id, patch, now, tokens_expire_at): &(UserId, UserPatch, UnixMillis, UnixMillis),
) -> DbResult<UserRow> {
    let status = patch.status.map(|status| status as i32);
    let added_by = patch.added_by.map(|setting| setting as i32);
    let seen = patch
        .expected_version
        .map_or(-1, |v| i64::try_from(v).unwrap_or(i64::MAX));
    let binds = binds![
        *id,
        patch.avatar_url.as_ref(),
        status,
        At(*now),
        seen,
        added_by
    ];
    let changed = execute::<Update>(conn, &binds).await?;
    let row = by_id(conn, id).await?;
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    if changed == 0 {
        return Err(DbError::conflict());
    }
    if let Some(reason) = end_of(patch.status) {
        let all = EndSessions {
            user: *id,
            which: Which::All,
            reason,
            now: *now,
            tokens_expire_at: *tokens_expire_at,
        };
        sessions::end(conn, &all).await?;
    }
    Ok(row)
}

async fn password(conn: &mut Conn, id: &UserId) -> DbResult<Option<PasswordRow>> {
    first::<Password, _>(conn, &binds![*id]).await
}

async fn release(conn: &mut Conn, &(before, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    Ok(execute::<Release>(conn, &binds![At(before), limit]).await? as u64)
}

async fn retire_guests(
    conn: &mut Conn,
    &(before, now, limit): &(UnixMillis, UnixMillis, u32),
) -> DbResult<Vec<UserId>> {
    let ids: Vec<UserId> = rows::<ExpiredGuests, _>(conn, &binds![At(before), limit]).await?;
    if !ids.is_empty() {
        let list = json_array(&ids);
        execute::<Retire>(conn, &binds![&list, At(now)]).await?;
        execute::<DropPointers>(conn, &binds![&list]).await?;
        execute::<DropStates>(conn, &binds![&list]).await?;
        execute::<DropHidden>(conn, &binds![&list]).await?;
        execute::<DropSessions>(conn, &binds![&list]).await?;
    }
    Ok(ids)
}

/// The statuses that end sessions, and why.
fn end_of(status: Option<UserStatus>) -> Option<EndReason> {
    match status? {
        UserStatus::Normal => None,
        UserStatus::Disabled => Some(EndReason::Disabled),
        UserStatus::Deleted => Some(EndReason::Deleted),
    }
}

async fn set_password(conn: &mut Conn, asked: &SetPassword) -> DbResult<()> {
    let user = asked.user;
    let found: Option<(UserStatus, u64)> = first::<Judged, _>(conn, &binds![user]).await?;
    match found {
        None | Some((UserStatus::Deleted, _)) => {
            return Err(DbError::not_found(ErrorCode::UserNotFound));
        }
        Some((_, version)) if asked.version.is_some_and(|judged| judged != version) => {
            return Err(DbError::conflict());
        }
        Some(_) => {}
    }
    execute::<SetPasswordOf>(conn, &binds![user, &asked.hash, At(asked.now)]).await?;
    let others = EndSessions {
        user,
        which: asked.keep.map_or(Which::All, Which::AllBut),
        reason: EndReason::PasswordChanged,
        now: asked.now,
        tokens_expire_at: asked.tokens_expire_at,
    };
    sessions::end(conn, &others).await.map(drop)
}

/// The row, and the users whose friendship or request ended.
async fn delete(conn: &mut Conn, asked: &DeleteUser) -> DbResult<(UserRow, Vec<UserId>)> {
    let user = asked.user;
    let mut others = Vec::new();
    // Held from here on: whoever adds the user to a group holds the account, too.
    let found: Option<(UserStatus, u64)> = first::<Judged, _>(conn, &binds![user]).await?;
    if found.is_some_and(|(status, _)| status != UserStatus::Deleted) {
        if one::<IsInGroup, bool>(conn, &binds![user]).await? {
            return Err(DbError::conflict());
        }
        others = rows::<Counterparts, _>(conn, &binds![user]).await?;
        let binds = binds![user, At(asked.now)];
        execute::<Delete>(conn, &binds).await?;
        execute::<EndAsked>(conn, &binds).await?;
        execute::<EndReceived>(conn, &binds).await?;
    }
    let row = by_id(conn, &user).await?;
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    execute::<DropPointersOf>(conn, &binds![user]).await?;
    execute::<DropStatesOf>(conn, &binds![user]).await?;
    execute::<DropHiddenOf>(conn, &binds![user]).await?;
    let all = EndSessions {
        user,
        which: Which::All,
        reason: EndReason::Deleted,
        now: asked.now,
        tokens_expire_at: asked.tokens_expire_at,
    };
    sessions::end(conn, &all).await?;
    Ok((row, others))
}

async fn upgrade(conn: &mut Conn, asked: &UpgradeGuest) -> DbResult<UserRow> {
    let NameKeys { key, skeleton } = NameKeys::of(&asked.username);
    let binds = binds![
        asked.user,
        &asked.username,
        &key,
        &asked.hash,
        At(asked.now),
        &skeleton,
    ];
    match execute::<Upgrade>(conn, &binds).await {
        Err(e) if fault::class(&e) != Class::Duplicate => return Err(e),
        _ => {}
    }
    let row = by_id(conn, &asked.user).await?;
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    if !row.is_guest && row.username == asked.username {
        return Ok(row);
    }
    if row.is_guest && row.status == UserStatus::Normal {
        return Err(DbError::duplicate(ErrorCode::UserAlreadyExists));
    }
    Err(DbError::refused(ErrorCode::Forbidden))
}

#[async_trait]
impl UserStore for MysqlDatabase {
    async fn create_user(&self, user: NewUser) -> DbResult<UserRow> {
        self.write(true, &[Key::Accounts], user, work!(create))
            .await
    }

    async fn user(&self, id: UserId) -> DbResult<Option<UserRow>> {
        self.read(id, work!(by_id)).await
    }

    async fn users(&self, ids: &[UserId]) -> DbResult<Vec<UserRow>> {
        self.read(json_array(ids), work!(by_ids)).await
    }

    async fn user_by_username(&self, username: &str) -> DbResult<Option<UserRow>> {
        self.read(username_key(username), work!(by_key)).await
    }

    async fn search_users(&self, wanted: UserSearch) -> DbResult<UserPage> {
        self.read_late(Key::Accounts, Around::Nothing, wanted, work!(search))
            .await
    }

    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        now: UnixMillis,
        tokens_expire_at: UnixMillis,
    ) -> DbResult<UserRow> {
        // A second run after a lost commit would meet its own change.
        let again = patch.expected_version.is_none();
        let args = (id, patch, now, tokens_expire_at);
        self.write(again, &[Key::Accounts], args, work!(update))
            .await
    }

    async fn password(&self, id: UserId) -> DbResult<Option<PasswordRow>> {
        self.read(id, work!(password)).await
    }

    /// Not run again when a commit got lost: the second run would meet the version of the first.
    async fn set_password(&self, asked: SetPassword) -> DbResult<()> {
        self.write(false, &[Key::Accounts], asked, work!(set_password))
            .await
    }

    async fn delete_user(&self, asked: DeleteUser) -> DbResult<UserRow> {
        let mut keys = vec![Key::Friends(asked.user)];
        let (row, others) = self
            .write(true, &[Key::Accounts], asked, work!(delete))
            .await?;
        keys.extend(others.into_iter().map(Key::Friends));
        self.wrote(&keys);
        Ok(row)
    }

    async fn upgrade_guest(&self, asked: UpgradeGuest) -> DbResult<UserRow> {
        self.write(true, &[Key::Accounts], asked, work!(upgrade))
            .await
    }

    async fn release_names(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(false, &[Key::Accounts], (before, limit), work!(release))
            .await
    }

    async fn complete_names(&self, limit: u32) -> DbResult<usize> {
        self.write(true, &[Key::Accounts], limit, work!(complete_names))
            .await
    }

    async fn delete_expired_guests(
        &self,
        before: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        let args = (before, now, limit);
        self.write(false, &[Key::Accounts], args, work!(retire_guests))
            .await
    }
}
