//! Members of conversations.
//!
//! Whatever changes the members of a conversation holds the conversation's row first, so changes of
//! one conversation take turns: counts and capacities are exact, and there is one order of locks.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use hashbrown::HashSet;

use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, first, json_array, one, rows, statements,
};
use crate::port::db::{
    DbError, DbResult, MAX_MEMBER_PAGE, MemberEntry, MemberPage, MemberRow, MembersQuery, PageStart,
};
use crate::sql::pages;
use crate::sql::row::columns;

const INSERT: Rows = Rows {
    head: "INSERT INTO conversation_members (conversation_id, user_id, role, joined_at, updated_at) VALUES ",
    row: "(?, ?, ?, ?, ?)",
    tail: "",
};
statements! {
    // ?1 conversation, ?2 JSON array of users
    AmongThem = "SELECT m.user_id FROM \
        JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN conversation_members m ON m.conversation_id = ?1 AND m.user_id = j.id";
    ForgetLeaving = "DELETE l FROM \
        JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN left_conversations l ON l.user_id = j.id AND l.conversation_id = ?1";
    Recount = "UPDATE conversations SET member_count = member_count + ?2, \
               updated_at = GREATEST(updated_at, ?3) WHERE id = ?1";
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
         AND (?6 = 0 OR m.updated_at > ?7 OR u.updated_at > ?7) \
         ORDER BY m.user_id LIMIT ?4 OFFSET ?5"
    );
    Leavers = "SELECT user_id FROM left_conversations \
               WHERE conversation_id = ?1 AND user_id > ?2 AND left_at > ?3 \
               ORDER BY user_id LIMIT ?4";
    CountRole = "SELECT COUNT(*) FROM conversation_members \
                 WHERE conversation_id = ?1 AND role = ?2";
    Ids = "SELECT user_id FROM conversation_members \
           WHERE conversation_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3";
    OfMany = concat!(
        "SELECT ", columns!(member "m"), " FROM ( \
             SELECT n, user_id, conversation_id, \
                 ROW_NUMBER() OVER (PARTITION BY n ORDER BY user_id) AS place FROM ( \
                 SELECT j.n, a.user_id, a.conversation_id FROM \
                     JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
                         (n FOR ORDINALITY, id VARCHAR(64) PATH '$')) j \
                     STRAIGHT_JOIN conversation_members a \
                         ON a.conversation_id = j.id COLLATE utf8mb4_bin) f) p \
         STRAIGHT_JOIN conversation_members m \
             ON m.conversation_id = p.conversation_id AND m.user_id = p.user_id \
         WHERE p.place <= ?2 ORDER BY p.n, m.user_id"
    );
}

fn stranger() -> DbError {
    DbError::not_found(ErrorCode::NotConversationMember)
}

/// Those of `users` who are members.
async fn among(conn: &mut Conn, id: ConversationId, users: &[UserId]) -> DbResult<HashSet<UserId>> {
    let found: Vec<UserId> = rows::<AmongThem, _>(conn, &binds![id, json_array(users)]).await?;
    Ok(found.into_iter().collect())
}

/// Inserts those who are not members yet and counts them; returns them in the order given. The
/// conversation must be held.
pub(super) async fn insert_all(
    conn: &mut Conn,
    id: ConversationId,
    users: &[UserId],
    role: i32,
    now: UnixMillis,
) -> DbResult<Vec<UserId>> {
    let mut known = among(conn, id, users).await?;
    let mut added = users.to_vec();
    added.retain(|user| known.insert(*user));
    if added.is_empty() {
        return Ok(added);
    }
    let mut sorted = added.clone();
    sorted.sort_unstable();
    let text = id.to_string();
    let values = sorted
        .iter()
        .flat_map(|user| binds![text.as_str(), *user, role, At(now), At(now)]);
    let values: Vec<Bind<'_>> = values.collect();
    execute_rows(conn, &INSERT, 5, &values).await?;
    execute::<ForgetLeaving>(conn, &binds![id, json_array(&sorted)]).await?;
    execute::<Recount>(conn, &binds![id, added.len(), At(now)]).await?;
    Ok(added)
}

pub(super) async fn unhide(
    conn: &mut Conn,
    id: ConversationId,
    user: UserId,
    now: UnixMillis,
) -> DbResult<()> {
    let done = execute::<Unhide>(conn, &binds![id, user, At(now)]).await;
    done.map(|_| ())
}

pub(super) async fn hide(
    conn: &mut Conn,
    &(id, user, now): &(ConversationId, UserId, UnixMillis),
) -> DbResult<()> {
    match execute::<Hide>(conn, &binds![id, user, At(now)]).await? {
        0 => Err(stranger()),
        _ => Ok(()),
    }
}

pub(super) async fn one_of(
    conn: &mut Conn,
    &(id, user): &(ConversationId, UserId),
) -> DbResult<Option<MemberRow>> {
    first::<OneOf, _>(conn, &binds![id, user]).await
}

/// The page and its total are two statements of one snapshot.
pub(super) async fn page(conn: &mut Conn, query: &MembersQuery) -> DbResult<MemberPage> {
    let limit = query.limit.min(MAX_MEMBER_PAGE);
    let (after, offset) = match query.start {
        PageStart::Offset(offset) => (-1, offset),
        PageStart::After(user) => (user.as_i64(), 0),
    };
    let (id, role) = (query.conversation, query.role.unwrap_or(0));
    let since = query.updated_after.map(At);
    let binds = binds![id, after, role, limit + 1, offset, since.is_some(), since];
    let mut members: Vec<MemberEntry> = rows::<Page, _>(conn, &binds).await?;
    let mut removed = match since {
        Some(_) => rows::<Leavers, _>(conn, &binds![id, after, since, limit + 1]).await?,
        None => Vec::new(),
    };
    let next = pages::merge(&mut members, &mut removed, limit, |m| m.member.user_id);
    let total = if role == 0 {
        let count: Option<u64> = first::<CountOf, _>(conn, &binds![id]).await?;
        count.unwrap_or(0)
    } else {
        one::<CountRole, u64>(conn, &binds![id, role]).await?
    };
    Ok(MemberPage {
        members,
        total,
        has_more: next.is_some(),
        removed,
        next,
    })
}

pub(super) async fn ids(
    conn: &mut Conn,
    &(id, after, limit): &(ConversationId, Option<UserId>, u32),
) -> DbResult<Vec<UserId>> {
    let after = after.map_or(-1, UserId::as_i64);
    rows::<Ids, _>(conn, &binds![id, after, limit]).await
}

/// `ids` is a JSON array.
pub(super) async fn of_many(
    conn: &mut Conn,
    (ids, limit): &(String, u32),
) -> DbResult<Vec<MemberRow>> {
    rows::<OfMany, _>(conn, &binds![ids, *limit]).await
}
