//! Members of conversations.

use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::query::{binds, execute, first, one, rows, statements};
use crate::port::db::{
    DbError, DbResult, MAX_MEMBER_PAGE, MemberEntry, MemberPage, MemberRow, MembersQuery, PageStart,
};
use crate::sql::pages;
use crate::sql::row::columns;

statements! {
    Insert = "INSERT INTO conversation_members (conversation_id, user_id, role, joined_at, \
              updated_at) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT DO NOTHING";
    ForgetLeaving = "DELETE FROM left_conversations WHERE user_id = ?2 AND conversation_id = ?1";
    Recount = "UPDATE conversations SET member_count = member_count + ?2, \
               updated_at = max(updated_at, ?3) WHERE id = ?1";
    CountOf = "SELECT member_count FROM conversations WHERE id = ?1";
    Unhide = "UPDATE conversation_members SET hidden = 0, updated_at = ?3 \
              WHERE conversation_id = ?1 AND user_id = ?2 AND hidden = 1";
    Hide = "UPDATE conversation_members SET hidden = 1, updated_at = ?3 \
            WHERE conversation_id = ?1 AND user_id = ?2";
    OneOf = concat!(
        "SELECT ", columns!(member "m"), " FROM conversation_members m \
         WHERE m.conversation_id = ?1 AND m.user_id = ?2"
    );
    Page = concat!(
        "SELECT ", columns!(member "m"), ", ", columns!(brief "u"), " \
         FROM conversation_members m LEFT JOIN users u ON u.id = m.user_id \
         WHERE m.conversation_id = ?1 AND m.user_id > ?2 AND (?3 = 0 OR m.role = ?3) \
         AND (m.updated_at > ?6 OR u.updated_at > ?6) \
         ORDER BY m.user_id LIMIT 0 + ?4 OFFSET ?5"
    );
    Leavers = "SELECT user_id FROM left_conversations \
               WHERE conversation_id = ?1 AND user_id > ?2 AND left_at > ?3 \
               ORDER BY user_id LIMIT 0 + ?4";
    CountRole = "SELECT count(*) FROM conversation_members \
                 WHERE conversation_id = ?1 AND role = ?2";
    Ids = "SELECT user_id FROM conversation_members \
           WHERE conversation_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT 0 + ?3";
    OfMany = concat!(
        "SELECT ", columns!(member "m"), " FROM json_each(?1) j \
         CROSS JOIN conversation_members m ON m.conversation_id = j.value \
         WHERE m.user_id <= coalesce((SELECT n.user_id FROM conversation_members n \
             WHERE n.conversation_id = j.value ORDER BY n.user_id LIMIT 1 OFFSET ?2 - 1), ?3) \
         ORDER BY j.key, m.user_id"
    );
}

fn stranger() -> DbError {
    DbError::not_found(ErrorCode::NotConversationMember)
}

/// Inserts those who are not members yet and counts them; returns them in the order given.
pub(super) fn insert_all(
    conn: &mut SqliteConnection,
    id: ConversationId,
    users: &[UserId],
    role: i32,
    now: UnixMillis,
) -> DbResult<Vec<UserId>> {
    let text = id.to_string();
    let mut added = Vec::new();
    for &user in users {
        if execute::<Insert>(conn, &binds![&text, user, role, now])? > 0 {
            execute::<ForgetLeaving>(conn, &binds![&text, user])?;
            added.push(user);
        }
    }
    if !added.is_empty() {
        execute::<Recount>(conn, &binds![&text, added.len(), now])?;
    }
    Ok(added)
}

pub(super) fn unhide(
    conn: &mut SqliteConnection,
    id: ConversationId,
    user: UserId,
    now: UnixMillis,
) -> DbResult<()> {
    execute::<Unhide>(conn, &binds![id, user, now]).map(|_| ())
}

pub(super) fn hide(
    conn: &mut SqliteConnection,
    id: ConversationId,
    user: UserId,
    now: UnixMillis,
) -> DbResult<()> {
    match execute::<Hide>(conn, &binds![id, user, now])? {
        0 => Err(stranger()),
        _ => Ok(()),
    }
}

pub(super) fn one_of(
    conn: &mut SqliteConnection,
    id: ConversationId,
    user: UserId,
) -> DbResult<Option<MemberRow>> {
    first::<OneOf, _>(conn, &binds![id, user])
}

/// The page and its total are two statements of one snapshot.
pub(super) fn page(conn: &mut SqliteConnection, query: &MembersQuery) -> DbResult<MemberPage> {
    use diesel::connection::Connection as _;
    conn.transaction(|conn| {
        let limit = query.limit.min(MAX_MEMBER_PAGE);
        let (after, offset) = match query.start {
            PageStart::Offset(offset) => (-1, offset),
            PageStart::After(user) => (user.as_i64(), 0),
        };
        let (id, role) = (query.conversation, query.role.unwrap_or(0));
        let since = query
            .updated_after
            .map_or(-1, |t| i64::try_from(t).unwrap_or(i64::MAX));
        let binds = binds![id, after, role, limit + 1, offset, since];
        let mut members: Vec<MemberEntry> = rows::<Page, _>(conn, &binds)?;
        let mut removed = match query.updated_after {
            Some(_) => rows::<Leavers, _>(conn, &binds![id, after, since, limit + 1])?,
            None => Vec::new(),
        };
        let next = pages::merge(&mut members, &mut removed, limit, |m| m.member.user_id);
        let total = if role == 0 {
            first::<CountOf, u64>(conn, &binds![query.conversation])?.unwrap_or(0)
        } else {
            one::<CountRole, u64>(conn, &binds![query.conversation, role])?
        };
        Ok(MemberPage {
            members,
            total,
            has_more: next.is_some(),
            removed,
            next,
        })
    })
}

pub(super) fn ids(
    conn: &mut SqliteConnection,
    id: ConversationId,
    after: Option<UserId>,
    limit: u32,
) -> DbResult<Vec<UserId>> {
    let after = after.map_or(-1, UserId::as_i64);
    rows::<Ids, _>(conn, &binds![id, after, limit.min(MAX_MEMBER_PAGE)])
}

/// `ids` is a JSON array.
pub(super) fn of_many(
    conn: &mut SqliteConnection,
    ids: &str,
    limit_each: u32,
) -> DbResult<Vec<MemberRow>> {
    let limit = limit_each.min(MAX_MEMBER_PAGE);
    if limit == 0 {
        return Ok(Vec::new());
    }
    rows::<OfMany, _>(conn, &binds![ids, limit, i64::MAX])
}
