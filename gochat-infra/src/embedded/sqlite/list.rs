//! The conversation list: one statement per page.
//!
//! How it stays fast: `mine` walks the user's memberships in an index that holds nothing else and
//! looks up only the first, fixed columns of each conversation; `page` orders and cuts; everything
//! wide (texts, last message, people) is joined for the rows of the page alone. The number of
//! stored messages appears nowhere.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::query::{binds, json_ids, rows, statements};
use crate::port::db::{DbResult, ListPage, ListQuery, MAX_PAGE, SearchPage, SearchQuery};
use crate::sql::pages;
use crate::sql::row::{Entry, columns};

/// SQL condition: user `?1` and a peer have a block between them. Each arm is a look-up by key.
macro_rules! blocked {
    ($peer:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM friendship_requests b WHERE b.requester_id = ?1 \
                 AND b.target_id = ",
            $peer,
            " AND b.status = 3) \
              OR EXISTS (SELECT 1 FROM friendship_requests b WHERE b.requester_id = ",
            $peer,
            " \
                 AND b.target_id = ?1 AND b.status = 3))"
        )
    };
}

/// The wide columns of an entry.
macro_rules! entry_columns {
    () => {
        concat!(
            columns!(conversation "c"), ", ", columns!(member "m"), ", ", columns!(message "lm"),
            ", ", columns!(brief "s"), ", ", columns!(brief "peer"), ", \
             coalesce(p.last_read_seq_id, 0), \
             CASE WHEN c.type = 3 AND p.user_id IS NULL THEN 0 \
                  ELSE max(c.last_seq_id - coalesce(p.last_read_seq_id, 0), 0) END, \
             coalesce(pp.last_read_seq_id, 0), ", blocked!("pm.user_id"), ", ",
            columns!(own "st"), ", h.seq_id IS NOT NULL"
        )
    };
}

/// Joins for `page(id)`; `?1` is the user.
macro_rules! entry_joins {
    () => {
        "LEFT JOIN conversations c ON c.id = page.id \
         LEFT JOIN conversation_members m ON m.user_id = ?1 AND m.conversation_id = c.id \
         LEFT JOIN messages lm ON lm.conversation_id = c.id AND lm.seq_id = c.last_seq_id \
         LEFT JOIN users s ON s.id = lm.sender_id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
         LEFT JOIN conversation_members pm ON c.type = 1 AND pm.conversation_id = c.id \
              AND pm.user_id <> ?1 \
         LEFT JOIN users peer ON peer.id = pm.user_id \
         LEFT JOIN user_read_pointers pp ON pp.user_id = pm.user_id \
              AND pp.conversation_id = pm.conversation_id \
         LEFT JOIN conversation_states st ON st.user_id = ?1 AND st.conversation_id = c.id \
         LEFT JOIN hidden_messages h ON h.user_id = ?1 AND h.conversation_id = c.id \
              AND h.seq_id = c.last_seq_id"
    };
}

/// The user's peer in the single chat `c`, read from its id (`s_{a}_{b}`): the account is found
/// without a look at the members. A cast reads the digits in front.
macro_rules! peer_id {
    () => {
        "CASE CAST(substr(c.id, 3) AS INTEGER) WHEN ?1 \
              THEN CAST(substr(c.id, 3 + instr(substr(c.id, 3), '_')) AS INTEGER) \
              ELSE CAST(substr(c.id, 3) AS INTEGER) END"
    };
}

/// SQL condition: the settings of the single chat `c` show its read pointers to the peer.
macro_rules! tells_reads {
    () => {
        "replace(coalesce(c.settings, ''), ' ', '') NOT LIKE '%\"show_read_status\":false%'"
    };
}

statements! {
    // ?1 user, ?2 kind or 0, ?3 updated after or -1, ?4 limit, ?5 offset, ?6 and ?7 the entry
    // before the page, or -1, ?8 limit of removed ids or 0, ?9 the removed id before the page, ?10
    // JSON array of the ids whose heads are wanted, or NULL. A delta also contains entries whose
    // read pointer, own state, peer's account or peer's read pointer changed; the last one unless
    // the pair is blocked or the settings hide it. These are looked up for a delta alone, where
    // nothing else has changed; reading writes no more than the pointer. The first row tells what
    // is true of the whole page, so an empty page still answers its total.
    Page = concat!(
        "WITH joined(id, changed_at, hidden) AS ( \
             SELECT conversation_id, updated_at, hidden FROM conversation_members \
             WHERE user_id = ?1 \
             UNION ALL SELECT 'world', 0, 0), \
         mine(id, updated_at) AS MATERIALIZED ( \
             SELECT c.id, c.updated_at FROM joined j CROSS JOIN conversations c ON c.id = j.id \
             WHERE j.hidden = 0 AND c.dissolved = 0 AND (?2 = 0 OR c.type = ?2) \
               AND (c.updated_at > ?3 OR c.changed_at > ?3 OR j.changed_at > ?3 OR EXISTS ( \
                    SELECT 1 FROM user_read_pointers p WHERE p.user_id = ?1 \
                    AND p.conversation_id = c.id AND p.updated_at > ?3) \
                 OR c.id IN (SELECT os.conversation_id FROM conversation_states os \
                    WHERE os.user_id = ?1 AND os.updated_at > ?3) \
                 OR (c.type = 1 AND EXISTS ( \
                    SELECT 1 FROM users pu WHERE pu.id = ", peer_id!(), " \
                    AND pu.updated_at > ?3)) \
                 OR (c.type = 1 AND EXISTS ( \
                    SELECT 1 FROM user_read_pointers pp WHERE pp.user_id = ", peer_id!(), " \
                    AND pp.conversation_id = c.id AND pp.updated_at > ?3 \
                    AND NOT ", blocked!("pp.user_id"), " AND ", tells_reads!(), ")))), \
         page(id, updated_at) AS MATERIALIZED ( \
             SELECT id, updated_at FROM mine \
             WHERE ?6 < 0 OR updated_at < ?6 OR (updated_at = ?6 AND id < ?7) \
             ORDER BY updated_at DESC, id DESC LIMIT 0 + ?4 OFFSET ?5) \
         SELECT CASE WHEN head.n = 0 THEN (SELECT count(*) FROM mine) ELSE 0 END, \
             CASE WHEN head.n = 0 AND ?8 > 0 THEN (SELECT json_group_array(id) FROM ( \
                 SELECT id FROM ( \
                     SELECT conversation_id AS id FROM left_conversations \
                     WHERE user_id = ?1 AND left_at > ?3 \
                     UNION SELECT conversation_id FROM conversation_members \
                     WHERE user_id = ?1 AND hidden = 1 AND updated_at > ?3 \
                     UNION SELECT m.conversation_id FROM conversation_members m \
                     CROSS JOIN conversations c ON c.id = m.conversation_id \
                     WHERE m.user_id = ?1 AND c.dissolved = 1 AND c.updated_at > ?3) \
                 WHERE id > ?9 ORDER BY id LIMIT 0 + ?8)) END, \
             CASE WHEN head.n = 0 AND ?10 IS NOT NULL THEN ( \
                 SELECT json_group_array(json_array(c.id, c.last_seq_id)) \
                 FROM json_each(?10) j CROSS JOIN conversations c ON c.id = j.value \
                 WHERE c.type = 3 OR EXISTS (SELECT 1 FROM conversation_members m \
                       WHERE m.user_id = ?1 AND m.conversation_id = c.id)) END, ",
        entry_columns!(),
        " FROM (SELECT 0 AS n UNION ALL SELECT 1) head LEFT JOIN page ON head.n = 1 ",
        entry_joins!(),
        " ORDER BY head.n, page.updated_at DESC, page.id DESC"
    );
    // ?1 user, ?2 kind or 0, ?3 lower-case part of a name, ?4 limit, ?5 and ?6 the entry before or
    // -1.
    Search = concat!(
        "WITH page(id, updated_at) AS MATERIALIZED ( \
             SELECT c.id, c.updated_at FROM ( \
                 SELECT conversation_id AS id FROM conversation_members \
                 WHERE user_id = ?1 AND hidden = 0 \
                 UNION ALL SELECT 'world') j \
             CROSS JOIN conversations c ON c.id = j.id \
             LEFT JOIN conversation_members pm ON c.type = 1 AND pm.conversation_id = c.id \
                  AND pm.user_id <> ?1 \
             LEFT JOIN users peer ON peer.id = pm.user_id \
             WHERE c.dissolved = 0 AND (?2 = 0 OR c.type = ?2) \
               AND instr(CASE WHEN c.type = 1 THEN coalesce(peer.username_key, '') \
                              ELSE lower(c.name) END, ?3) > 0 \
               AND (?5 < 0 OR c.updated_at < ?5 OR (c.updated_at = ?5 AND c.id < ?6)) \
             ORDER BY c.updated_at DESC, c.id DESC LIMIT 0 + ?4) \
         SELECT ", entry_columns!(), " FROM page ", entry_joins!(),
        " ORDER BY page.updated_at DESC, page.id DESC"
    );
    // ?1 user.
    Unread = "SELECT c.id, CASE WHEN c.type = 3 AND p.user_id IS NULL THEN 0 \
                  ELSE max(c.last_seq_id - coalesce(p.last_read_seq_id, 0), 0) END \
         FROM (SELECT conversation_id AS id FROM conversation_members \
               WHERE user_id = ?1 AND hidden = 0 \
               UNION ALL SELECT 'world') j \
         CROSS JOIN conversations c ON c.id = j.id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
         WHERE c.dissolved = 0";
    // ?1 user, ?2 JSON array of ids.
    UnreadOf = "SELECT c.id, CASE WHEN c.type = 3 AND p.user_id IS NULL THEN 0 \
                  ELSE max(c.last_seq_id - coalesce(p.last_read_seq_id, 0), 0) END \
         FROM (SELECT DISTINCT value AS id FROM json_each(?2)) j \
         CROSS JOIN conversations c ON c.id = j.id \
         LEFT JOIN conversation_members m ON m.user_id = ?1 AND m.conversation_id = c.id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
         WHERE c.dissolved = 0 AND (c.type = 3 OR m.user_id IS NOT NULL)";
}

pub(super) fn page(conn: &mut SqliteConnection, query: &ListQuery) -> DbResult<ListPage> {
    // The total, the removed ids and the heads as JSON, and the entry if there is one.
    type Line = (u64, Option<String>, Option<String>, Option<Entry>);
    let kind = query.kind.map_or(0, |kind| kind as i32);
    let since = query.updated_after.map_or(-1, as_i64);
    let limits = pages::Limits::of(query);
    let (offset, at, id) = match query.after {
        Some((at, id)) => (0, as_i64(at), id.to_string()),
        None => (query.offset, -1, String::new()),
    };
    let removed_after = query.removed_after.map(|id| id.to_string());
    let heads = (!query.heads_of.is_empty()).then(|| json_ids(query.heads_of.iter().copied()));
    let binds = binds![
        query.user,
        kind,
        since,
        limits.entries_read(),
        offset,
        at,
        &id,
        limits.removed_read(),
        removed_after.unwrap_or_default(),
        heads
    ];
    let lines: Vec<Line> = rows::<Page, _>(conn, &binds)?;
    let mut page = ListPage::default();
    for (total, removed, heads, entry) in lines {
        page.total = page.total.max(total);
        if let Some(json) = removed {
            (page.removed, page.has_more_removed) = pages::removed(&json, limits.removed)?;
        }
        if let Some(json) = heads {
            page.heads = pages::heads(&json)?;
        }
        page.entries.extend(entry.map(|e| e.0));
    }
    page.has_more = pages::cut(&mut page.entries, limits.entries);
    Ok(page)
}

pub(super) fn search(conn: &mut SqliteConnection, query: &SearchQuery) -> DbResult<SearchPage> {
    let needle = gochat_core::text::folded(&query.query);
    if needle.is_empty() {
        return Ok(SearchPage::default());
    }
    let kind = query.kind.map_or(0, |kind| kind as i32);
    let limit = query.limit.min(MAX_PAGE);
    let (at, id) = query
        .after
        .map_or((-1, String::new()), |(at, id)| (as_i64(at), id.to_string()));
    let binds = binds![query.user, kind, &needle, limit + 1, at, &id];
    let mut found: Vec<Entry> = rows::<Search, _>(conn, &binds)?;
    let has_more = pages::cut(&mut found, limit);
    Ok(SearchPage {
        entries: found.into_iter().map(|e| e.0).collect(),
        has_more,
    })
}

/// `ids` is a JSON array; `None` asks for the whole list.
pub(super) fn unread(
    conn: &mut SqliteConnection,
    user: UserId,
    ids: Option<&str>,
) -> DbResult<Vec<(ConversationId, u64)>> {
    match ids {
        Some(ids) => rows::<UnreadOf, _>(conn, &binds![user, ids]),
        None => rows::<Unread, _>(conn, &binds![user]),
    }
}

fn as_i64(time: UnixMillis) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
