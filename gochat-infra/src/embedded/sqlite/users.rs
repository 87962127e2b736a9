//! Users.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::text::username_key;
use gochat_core::token::EndReason;

use super::SqliteDatabase;
use super::query::{binds, execute, first, json_array, one, rows, statements};
use super::sessions;
use crate::port::db::{
    DbError, DbResult, DeleteUser, EndSessions, MAX_PAGE, NewUser, PasswordRow, SetPassword,
    UpgradeGuest, UserPage, UserPatch, UserRow, UserSearch, UserStatus, UserStore, Which,
};
use crate::sql::names::{NameKeys, no_skeleton};
use crate::sql::pages;
use crate::sql::row::columns;

statements! {
    Insert = "INSERT INTO users (id, username, username_key, password_hash, avatar_url, is_guest, \
              created_at, updated_at, name_skeleton) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) \
              ON CONFLICT DO NOTHING";
    ById = concat!("SELECT ", columns!(user "u"), " FROM users u WHERE u.id = ?1");
    ByIds = concat!(
        "SELECT ", columns!(user "u"), " FROM users u \
         WHERE u.id IN (SELECT value FROM json_each(?1))"
    );
    ByKey = concat!("SELECT ", columns!(user "u"), " FROM users u WHERE u.username_key = ?1");
    IdBySkeleton = "SELECT id FROM users WHERE name_skeleton = ?1";
    Incomplete = "SELECT id, username FROM users WHERE name_skeleton IS NULL ORDER BY id LIMIT 0 + ?1";
    SetKey = "UPDATE OR IGNORE users SET username_key = ?2 WHERE id = ?1";
    SetSkeleton = "UPDATE OR IGNORE users SET name_skeleton = ?2 \
                   WHERE id = ?1 AND name_skeleton IS NULL";
    // The first arm is a range of the index, the second a scan of it.
    SearchPrefix = concat!(
        "SELECT ", columns!(user "u"), " FROM users u \
         WHERE u.username_key >= ?1 AND u.username_key < ?2 AND u.status = 0 AND u.id <> ?3 \
         AND u.is_guest <= ?4 AND u.username_key > ?6 ORDER BY u.username_key LIMIT 0 + ?5"
    );
    SearchInside = concat!(
        "SELECT ", columns!(user "u"), " FROM users u \
         WHERE instr(u.username_key, ?1) > 1 AND u.status = 0 AND u.id <> ?2 \
         AND u.is_guest <= ?3 AND u.username_key > ?5 ORDER BY u.username_key LIMIT 0 + ?4"
    );
    // The version counts edits of the profile; a status is no edit.
    Update = "UPDATE users SET avatar_url = coalesce(?2, avatar_url), \
              status = coalesce(?3, status), updated_at = max(updated_at, ?4), \
              version = version + (?2 IS NOT NULL OR ?6 IS NOT NULL), \
              added_by = coalesce(?6, added_by) WHERE id = ?1 AND (?5 < 0 OR version = ?5)";
    Password = "SELECT password_hash, password_version FROM users \
                WHERE id = ?1 AND password_hash <> ''";
    Judged = "SELECT status, password_version FROM users WHERE id = ?1";
    SetPasswordOf = "UPDATE users SET password_hash = ?2, password_version = password_version + 1, \
                     updated_at = max(updated_at, ?3) WHERE id = ?1";
    // The key stays: the name is taken until it is released.
    Delete = "UPDATE users SET status = 2, username = 'deleted_' || id, avatar_url = '', \
              password_hash = '', password_version = password_version + 1, deleted_at = ?2, version = version + 1, \
              updated_at = max(updated_at, ?2) WHERE id = ?1 AND status <> 2";
    IsInGroup = "SELECT EXISTS (SELECT 1 FROM conversation_members m \
                 JOIN conversations c ON c.id = m.conversation_id \
                 WHERE m.user_id = ?1 AND c.type = 2 AND c.dissolved = 0)";
    EndRelations = "UPDATE friendship_requests SET status = 2, \
                    mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, \
                    updated_at = max(updated_at, ?2) \
                    WHERE (requester_id = ?1 OR target_id = ?1) AND status IN (0, 1)";
    Upgrade = "UPDATE OR IGNORE users SET username = ?2, username_key = ?3, password_hash = ?4, is_guest = 0, name_skeleton = ?6, \
               version = version + 1, password_version = password_version + 1, updated_at = max(updated_at, ?5) \
               WHERE id = ?1 AND is_guest = 1 AND status = 0";
    // No name begins with a space, so the key is free.
    Release = "UPDATE users SET username_key = ' ' || id, name_skeleton = ' ' || id, deleted_at = NULL WHERE id IN \
               (SELECT id FROM users WHERE deleted_at <= ?1 AND status = 2 LIMIT 0 + ?2)";
    ExpiredGuests = "SELECT u.id FROM users u \
        WHERE u.is_guest = 1 AND u.status <> 2 AND u.created_at < ?1 \
        AND NOT EXISTS (SELECT 1 FROM user_read_pointers p \
                        WHERE p.user_id = u.id AND p.updated_at >= ?1) \
        AND NOT EXISTS (SELECT 1 FROM sessions t \
                        WHERE t.user_id = u.id AND t.last_used_at >= ?1) \
        ORDER BY u.created_at LIMIT 0 + ?2";
    Retire = "UPDATE users SET status = 2, avatar_url = '', updated_at = ?2 \
              WHERE id IN (SELECT value FROM json_each(?1))";
    DropPointers = "DELETE FROM user_read_pointers \
                    WHERE user_id IN (SELECT value FROM json_each(?1))";
    DropPointersOf = "DELETE FROM user_read_pointers WHERE user_id = ?1";
    DropStates = "DELETE FROM conversation_states \
                  WHERE user_id IN (SELECT value FROM json_each(?1))";
    DropStatesOf = "DELETE FROM conversation_states WHERE user_id = ?1";
    DropHidden = "DELETE FROM hidden_messages \
                  WHERE user_id IN (SELECT value FROM json_each(?1))";
    DropHiddenOf = "DELETE FROM hidden_messages WHERE user_id = ?1";
    DropSessions = "DELETE FROM sessions \
                  WHERE user_id IN (SELECT value FROM json_each(?1))";
}

pub(super) fn by_id(conn: &mut SqliteConnection, id: UserId) -> DbResult<Option<UserRow>> {
    first::<ById, _>(conn, &binds![id])
}

fn create(conn: &mut SqliteConnection, user: &NewUser) -> DbResult<UserRow> {
    let NameKeys { key, skeleton } = NameKeys::of(&user.username);
    execute::<Insert>(
        conn,
        &binds![
            user.id,
            &user.username,
            &key,
            &user.password_hash,
            &user.avatar_url,
            user.is_guest,
            user.now,
            &skeleton,
        ],
    )?;
    match first::<ByKey, UserRow>(conn, &binds![&key])? {
        Some(row) if row.id == user.id => Ok(row),
        Some(_) => Err(DbError::duplicate(ErrorCode::UserAlreadyExists)),
        None if first::<IdBySkeleton, UserId>(conn, &binds![&skeleton])?.is_some() => {
            Err(DbError::duplicate(ErrorCode::UserAlreadyExists))
        }
        // The insert did nothing and the name is free: the id is taken, which the makers of ids rule out.
        None => Err(DbError::internal("the id of a new user is taken")),
    }
}

fn complete_names(conn: &mut SqliteConnection, limit: u32) -> DbResult<usize> {
    let incomplete: Vec<(UserId, String)> = rows::<Incomplete, _>(conn, &binds![limit])?;
    for (id, username) in &incomplete {
        let NameKeys { key, skeleton } = NameKeys::of(username);
        execute::<SetKey>(conn, &binds![*id, &key])?;
        execute::<SetSkeleton>(conn, &binds![*id, &skeleton])?;
        // Changes something only if another row looks the same.
        execute::<SetSkeleton>(conn, &binds![*id, &no_skeleton(*id)])?;
    }
    Ok(incomplete.len())
}

fn search(conn: &mut SqliteConnection, search: &UserSearch) -> DbResult<UserPage> {
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
        users = rows::<SearchPrefix, _>(conn, &binds)?;
    }
    let begin = users.len();
    let room = (limit + 1).saturating_sub(u32::try_from(begin).unwrap_or(limit));
    if room > 0 {
        let last = if inside { last } else { String::new() };
        let binds = binds![&needle, exclude, guests, room, &last];
        users.extend(rows::<SearchInside, UserRow>(conn, &binds)?);
    }
    let has_more = pages::cut(&mut users, limit);
    let last = users.last().filter(|_| has_more);
    let next = last.map(|last| (users.len() > begin, last.username.clone()));
    Ok(UserPage { users, next })
}

fn update(
    conn: &mut SqliteConnection,
    id: UserId,
    patch: &UserPatch,
    now: UnixMillis,
    tokens_expire_at: UnixMillis,
) -> DbResult<UserRow> {
    let status = patch.status.map(|status| status as i32);
    let added_by = patch.added_by.map(|setting| setting as i32);
    let seen = patch
        .expected_version
        .map_or(-1, |v| i64::try_from(v).unwrap_or(i64::MAX));
    let binds = binds![id, patch.avatar_url.as_ref(), status, now, seen, added_by];
    let changed = execute::<Update>(conn, &binds)?;
    let row = by_id(conn, id)?.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    if changed == 0 {
        return Err(DbError::conflict());
    }
    if let Some(reason) = end_of(patch.status) {
        let all = EndSessions {
            user: id,
            which: Which::All,
            reason,
            now,
            tokens_expire_at,
        };
        sessions::end(conn, &all)?;
    }
    Ok(row)
}

fn retire_guests(
    conn: &mut SqliteConnection,
    before: UnixMillis,
    now: UnixMillis,
    limit: u32,
) -> DbResult<Vec<UserId>> {
    let ids: Vec<UserId> = rows::<ExpiredGuests, _>(conn, &binds![before, limit])?;
    if !ids.is_empty() {
        let list = json_array(&ids);
        execute::<Retire>(conn, &binds![&list, now])?;
        execute::<DropPointers>(conn, &binds![&list])?;
        execute::<DropStates>(conn, &binds![&list])?;
        execute::<DropHidden>(conn, &binds![&list])?;
        execute::<DropSessions>(conn, &binds![&list])?;
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

fn set_password(conn: &mut SqliteConnection, asked: &SetPassword) -> DbResult<()> {
    let user = asked.user;
    let found: Option<(UserStatus, u64)> = first::<Judged, _>(conn, &binds![user])?;
    match found {
        None | Some((UserStatus::Deleted, _)) => {
            return Err(DbError::not_found(ErrorCode::UserNotFound));
        }
        Some((_, version)) if asked.version.is_some_and(|judged| judged != version) => {
            return Err(DbError::conflict());
        }
        Some(_) => {}
    }
    execute::<SetPasswordOf>(conn, &binds![user, &asked.hash, asked.now])?;
    let others = EndSessions {
        user,
        which: asked.keep.map_or(Which::All, Which::AllBut),
        reason: EndReason::PasswordChanged,
        now: asked.now,
        tokens_expire_at: asked.tokens_expire_at,
    };
    sessions::end(conn, &others).map(drop)
}

fn delete(conn: &mut SqliteConnection, asked: &DeleteUser) -> DbResult<UserRow> {
    let user = asked.user;
    let found: Option<(UserStatus, u64)> = first::<Judged, _>(conn, &binds![user])?;
    if found.is_some_and(|(status, _)| status != UserStatus::Deleted) {
        if one::<IsInGroup, bool>(conn, &binds![user])? {
            return Err(DbError::conflict());
        }
        execute::<Delete>(conn, &binds![user, asked.now])?;
        execute::<EndRelations>(conn, &binds![user, asked.now])?;
    }
    let row = by_id(conn, user)?;
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    execute::<DropPointersOf>(conn, &binds![user])?;
    execute::<DropStatesOf>(conn, &binds![user])?;
    execute::<DropHiddenOf>(conn, &binds![user])?;
    let all = EndSessions {
        user,
        which: Which::All,
        reason: EndReason::Deleted,
        now: asked.now,
        tokens_expire_at: asked.tokens_expire_at,
    };
    sessions::end(conn, &all)?;
    Ok(row)
}

fn upgrade(conn: &mut SqliteConnection, asked: &UpgradeGuest) -> DbResult<UserRow> {
    let NameKeys { key, skeleton } = NameKeys::of(&asked.username);
    let binds = binds![
        asked.user,
        &asked.username,
        &key,
        &asked.hash,
        asked.now,
        &skeleton
    ];
    execute::<Upgrade>(conn, &binds)?;
    let row = by_id(conn, asked.user)?;
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
impl UserStore for SqliteDatabase {
    async fn create_user(&self, user: NewUser) -> DbResult<UserRow> {
        self.grow(1, move |conn| create(conn, &user)).await
    }

    async fn user(&self, id: UserId) -> DbResult<Option<UserRow>> {
        self.read(move |conn| by_id(conn, id)).await
    }

    async fn users(&self, ids: &[UserId]) -> DbResult<Vec<UserRow>> {
        let ids = json_array(ids);
        self.read(move |conn| rows::<ByIds, _>(conn, &binds![&ids]))
            .await
    }

    async fn user_by_username(&self, username: &str) -> DbResult<Option<UserRow>> {
        let key = username_key(username);
        self.read(move |conn| first::<ByKey, _>(conn, &binds![&key]))
            .await
    }

    async fn search_users(&self, wanted: UserSearch) -> DbResult<UserPage> {
        self.read(move |conn| search(conn, &wanted)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        patch: UserPatch,
        now: UnixMillis,
        tokens_expire_at: UnixMillis,
    ) -> DbResult<UserRow> {
        self.write(1, move |conn| {
            update(conn, id, &patch, now, tokens_expire_at)
        })
        .await
    }

    async fn password(&self, id: UserId) -> DbResult<Option<PasswordRow>> {
        self.read(move |conn| first::<Password, _>(conn, &binds![id]))
            .await
    }

    async fn set_password(&self, asked: SetPassword) -> DbResult<()> {
        self.write(2, move |conn| set_password(conn, &asked)).await
    }

    async fn delete_user(&self, asked: DeleteUser) -> DbResult<UserRow> {
        self.write(2, move |conn| delete(conn, &asked)).await
    }

    async fn upgrade_guest(&self, asked: UpgradeGuest) -> DbResult<UserRow> {
        self.write(1, move |conn| upgrade(conn, &asked)).await
    }

    async fn release_names(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(limit as usize, move |conn| {
            Ok(execute::<Release>(conn, &binds![before, limit])? as u64)
        })
        .await
    }

    async fn complete_names(&self, limit: u32) -> DbResult<usize> {
        self.write(limit as usize, move |conn| complete_names(conn, limit))
            .await
    }

    async fn delete_expired_guests(
        &self,
        before: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        self.write(limit as usize, move |conn| {
            retire_guests(conn, before, now, limit)
        })
        .await
    }
}
