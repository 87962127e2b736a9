//! Members of conversations.
//!
//! Whatever changes the members of a conversation holds the conversation's row first, so changes of
//! one conversation take turns: counts and capacities are exact, and there is one order of locks.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use hashbrown::HashSet;

use super::conversations::{held, living};
use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, first, json_array, one, rows, statements,
};
use crate::port::db::{
    AddMembers, AddOutcome, DbError, DbResult, MAX_MEMBER_PAGE, MemberEntry, MemberPage, MemberRow,
    MembersQuery, Mute, PageStart, RemoveOutcome,
};
use crate::sql::row::columns;

const INSERT: Rows = Rows {
    head: "INSERT INTO conversation_members (conversation_id, user_id, role, joined_at, updated_at) VALUES ",
    row: "(?, ?, ?, ?, ?)",
    tail: "",
};
const POINTERS_AT_HEAD: Rows = Rows {
    head: "INSERT INTO user_read_pointers (user_id, conversation_id, last_read_seq_id, updated_at) VALUES ",
    row: "(?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE \
           updated_at = IF(VALUES(last_read_seq_id) > last_read_seq_id, VALUES(updated_at), updated_at), \
           last_read_seq_id = GREATEST(last_read_seq_id, VALUES(last_read_seq_id))",
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
    DropPointer = "DELETE FROM user_read_pointers WHERE user_id = ?2 AND conversation_id = ?1";
    Unhide = "UPDATE conversation_members SET hidden = 0, updated_at = ?3 \
              WHERE conversation_id = ?1 AND user_id = ?2 AND hidden = 1";
    Hide = "UPDATE conversation_members SET hidden = 1, updated_at = ?3 \
            WHERE conversation_id = ?1 AND user_id = ?2";
    Remove = "DELETE FROM conversation_members WHERE conversation_id = ?1 AND user_id = ?2";
    NoteLeaving = "INSERT INTO left_conversations (user_id, conversation_id, left_at) \
                   VALUES (?2, ?1, ?3) ON DUPLICATE KEY UPDATE left_at = VALUES(left_at)";
    SetRole = "UPDATE conversation_members SET role = ?3, updated_at = ?4 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetMute = "UPDATE conversation_members SET muted = ?3, muted_until = ?4, updated_at = ?5 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetOwner = "UPDATE conversations SET owner_id = ?2, updated_at = GREATEST(updated_at, ?3) \
                WHERE id = ?1";
    OneOf = concat!(
        "SELECT ", columns!(member "m"), " FROM conversation_members m \
         WHERE m.conversation_id = ?1 AND m.user_id = ?2"
    );
    Page = concat!(
        "SELECT ", columns!(member "m"), ", ", columns!(brief "u"), " \
         FROM conversation_members m LEFT JOIN users u ON u.id = m.user_id \
         WHERE m.conversation_id = ?1 AND m.user_id > ?2 AND (?3 = 0 OR m.role = ?3) \
         ORDER BY m.user_id LIMIT ?4 OFFSET ?5"
    );
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

pub(super) async fn add(conn: &mut Conn, add: &AddMembers) -> DbResult<AddOutcome> {
    let conversation = living(conn, add.conversation).await?;
    let mut room = match add.max_members {
        0 => u32::MAX,
        max => max.saturating_sub(conversation.member_count),
    };
    let known = among(conn, add.conversation, &add.users).await?;
    let mut outcome = AddOutcome::default();
    let mut seen = HashSet::new();
    let mut newcomers = Vec::new();
    for user in add.users.iter().copied().filter(|user| seen.insert(*user)) {
        if known.contains(&user) {
            unhide(conn, add.conversation, user, add.now).await?;
            outcome.already.push(user);
        } else if room == 0 {
            outcome.no_room.push(user);
        } else {
            room -= 1;
            newcomers.push(user);
        }
    }
    outcome.added = insert_all(conn, add.conversation, &newcomers, add.role, add.now).await?;
    let mut sorted = outcome.added.clone();
    sorted.sort_unstable();
    let (text, head) = (add.conversation.to_string(), conversation.last_seq_id);
    let values = sorted
        .iter()
        .flat_map(|user| binds![*user, text.as_str(), head, At(add.now)]);
    let values: Vec<Bind<'_>> = values.collect();
    execute_rows(conn, &POINTERS_AT_HEAD, 4, &values).await?;
    outcome.member_count = one::<CountOf, _>(conn, &binds![add.conversation]).await?;
    Ok(outcome)
}

pub(super) async fn remove(
    conn: &mut Conn,
    &(id, user, now): &(ConversationId, UserId, UnixMillis),
) -> DbResult<RemoveOutcome> {
    held(conn, id).await?;
    let removed = execute::<Remove>(conn, &binds![id, user]).await? > 0;
    if removed {
        execute::<DropPointer>(conn, &binds![id, user]).await?;
        execute::<NoteLeaving>(conn, &binds![id, user, At(now)]).await?;
        execute::<Recount>(conn, &binds![id, -1_i64, At(now)]).await?;
    }
    let count: Option<u32> = first::<CountOf, _>(conn, &binds![id]).await?;
    Ok(RemoveOutcome {
        removed,
        member_count: count.unwrap_or(0),
    })
}

pub(super) async fn set_role(
    conn: &mut Conn,
    &(id, user, role, now): &(ConversationId, UserId, i32, UnixMillis),
) -> DbResult<MemberRow> {
    execute::<SetRole>(conn, &binds![id, user, role, At(now)]).await?;
    one_of(conn, &(id, user)).await?.ok_or_else(stranger)
}

pub(super) async fn set_mute(
    conn: &mut Conn,
    &(id, user, mute, now): &(ConversationId, UserId, Mute, UnixMillis),
) -> DbResult<MemberRow> {
    let binds = binds![id, user, mute.muted, mute.until.map(At), At(now)];
    execute::<SetMute>(conn, &binds).await?;
    one_of(conn, &(id, user)).await?.ok_or_else(stranger)
}

/// Moves the ownership from one member (who gets the given role) to another.
pub(super) async fn transfer(
    conn: &mut Conn,
    &(id, from, to, from_role, now): &(ConversationId, UserId, UserId, i32, UnixMillis),
) -> DbResult<()> {
    if living(conn, id).await?.owner_id != Some(from) {
        return Err(DbError::conflict());
    }
    execute::<SetRole>(conn, &binds![id, from, from_role, At(now)]).await?;
    set_role(conn, &(id, to, 3, now)).await?;
    let done = execute::<SetOwner>(conn, &binds![id, to, At(now)]).await;
    done.map(|_| ())
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
    let mut members: Vec<MemberEntry> =
        rows::<Page, _>(conn, &binds![id, after, role, limit + 1, offset]).await?;
    let has_more = members.len() > limit as usize;
    members.truncate(limit as usize);
    let total = if role == 0 {
        let count: Option<u64> = first::<CountOf, _>(conn, &binds![id]).await?;
        count.unwrap_or(0)
    } else {
        one::<CountRole, u64>(conn, &binds![id, role]).await?
    };
    Ok(MemberPage {
        members,
        total,
        has_more,
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
