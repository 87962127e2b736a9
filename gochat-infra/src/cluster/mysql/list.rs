//! The conversation list: one statement per page.
//!
//! How it stays fast: `mine` walks the user's memberships in an index that holds nothing else and
//! looks up the narrow columns of each conversation; window functions number and count them in one
//! go; everything wide (texts, last message, people) is joined for the rows of the page alone. The
//! number of stored messages appears nowhere.

use gochat_core::ids::{ConversationId, UserId};

use super::query::{At, Conn, binds, json_ids, rows, statements};
use crate::port::db::{DbResult, ListPage, ListQuery, MAX_PAGE, SearchPage, SearchQuery};
use crate::sql::pages;
use crate::sql::row::{Entry, columns};

/// Head − pointer, never negative; nothing in world until it was opened.
macro_rules! unread {
    () => {
        "CASE WHEN c.type = 3 AND p.user_id IS NULL THEN 0 \
              ELSE GREATEST(c.last_seq_id - COALESCE(p.last_read_seq_id, 0), 0) END"
    };
}

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
             COALESCE(p.last_read_seq_id, 0), ", unread!(), ", \
             COALESCE(pp.last_read_seq_id, 0), ", blocked!("pm.user_id"), ", ",
            columns!(own "st"), ", h.seq_id IS NOT NULL"
        )
    };
}

/// Joins for `page(id)`; `?1` is the user.
macro_rules! entry_joins {
    () => {
        "LEFT JOIN conversations c ON c.id = page.id \
         LEFT JOIN conversation_members m ON m.user_id = ?1 AND m.conversation_id = page.id \
         LEFT JOIN messages lm ON lm.conversation_id = c.id AND lm.seq_id = c.last_seq_id \
         LEFT JOIN users s ON s.id = lm.sender_id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = page.id \
         LEFT JOIN conversation_members pm ON c.type = 1 AND pm.conversation_id = c.id \
              AND pm.user_id <> ?1 \
         LEFT JOIN users peer ON peer.id = pm.user_id \
         LEFT JOIN user_read_pointers pp ON pp.user_id = pm.user_id \
              AND pp.conversation_id = pm.conversation_id \
         LEFT JOIN conversation_states st ON st.user_id = ?1 AND st.conversation_id = page.id \
         LEFT JOIN hidden_messages h ON h.user_id = ?1 AND h.conversation_id = c.id \
              AND h.seq_id = c.last_seq_id"
    };
}

/// The ids a user's list is made of; `?1` is the user.
macro_rules! joined {
    () => {
        "SELECT conversation_id AS id, updated_at AS changed_at FROM conversation_members \
         WHERE user_id = ?1 AND hidden = 0 \
         UNION ALL SELECT 'world', CAST('1970-01-01' AS DATETIME(3))"
    };
}

/// Whether a conversation stands behind the entry before the page: ?7 whether there is one, ?8 and
/// ?9 which.
macro_rules! stands_behind {
    () => {
        "(?7 = 0 OR c.updated_at < ?8 OR (c.updated_at = ?8 AND c.id < ?9))"
    };
}

/// The user's peer in the single chat `c`, read from its id (`s_{a}_{b}`): the account is found
/// without a look at the members.
macro_rules! peer_id {
    () => {
        "CASE CAST(SUBSTRING_INDEX(SUBSTRING(c.id, 3), '_', 1) AS SIGNED) WHEN ?1 \
              THEN CAST(SUBSTRING_INDEX(c.id, '_', -1) AS SIGNED) \
              ELSE CAST(SUBSTRING_INDEX(SUBSTRING(c.id, 3), '_', 1) AS SIGNED) END"
    };
}

/// SQL condition: the settings of the single chat `c` show its read pointers to the peer.
macro_rules! tells_reads {
    () => {
        "REPLACE(COALESCE(c.settings, ''), ' ', '') NOT LIKE '%\"show_read_status\":false%'"
    };
}

statements! {
    // ?1 user, ?2 kind or 0, ?3 whether there is a time, ?4 the time, ?5 first place, ?6 last
    // place, ?7 to ?9 the entry before the page, ?10 limit of removed ids or 0, ?11 the removed id
    // before the page, ?12 JSON array of the ids whose heads are wanted, or NULL. Places are
    // counted on either side of the entry before the page. A delta also contains entries whose
    // read pointer, own state, peer's account or peer's read pointer changed; the last one unless
    // the pair is blocked or the settings hide it. These are looked up for a delta alone; reading
    // writes no more than the pointer. The first row tells what is true of the whole page. The
    // first entry of all is always read for the total.
    Page = concat!(
        "SELECT COALESCE(page.total, 0), COALESCE(page.place, 0), \
             COALESCE(page.is_behind, 0), \
             CASE WHEN head.n = 0 AND ?10 > 0 THEN (SELECT JSON_ARRAYAGG(id) FROM ( \
                 SELECT id FROM ( \
                     SELECT conversation_id AS id FROM left_conversations \
                     WHERE user_id = ?1 AND left_at > ?4 \
                     UNION SELECT conversation_id FROM conversation_members \
                     WHERE user_id = ?1 AND hidden = 1 AND updated_at > ?4 \
                     UNION SELECT gm.conversation_id FROM conversation_members gm \
                     STRAIGHT_JOIN conversations gc ON gc.id = gm.conversation_id \
                     WHERE gm.user_id = ?1 AND gc.dissolved = 1 AND gc.updated_at > ?4) gone \
                 WHERE id > ?11 ORDER BY id LIMIT ?10) told) END, \
             CASE WHEN head.n = 0 AND ?12 IS NOT NULL THEN ( \
                 SELECT JSON_ARRAYAGG(JSON_ARRAY(tc.id, tc.last_seq_id)) FROM \
                     JSON_TABLE(CONVERT(?12 USING utf8mb4), '$[*]' \
                         COLUMNS (id VARCHAR(64) PATH '$')) t \
                 STRAIGHT_JOIN conversations tc ON tc.id = t.id COLLATE utf8mb4_bin \
                 WHERE tc.type = 3 OR EXISTS (SELECT 1 FROM conversation_members tm \
                       WHERE tm.user_id = ?1 AND tm.conversation_id = tc.id)) END, ",
        entry_columns!(),
        " FROM (SELECT 0 AS n UNION ALL SELECT 1) head LEFT JOIN ( \
             SELECT id, place, total, is_behind FROM ( \
                 SELECT c.id, COUNT(*) OVER () AS total, ", stands_behind!(), " AS is_behind, \
                     ROW_NUMBER() OVER (PARTITION BY ", stands_behind!(), " \
                         ORDER BY c.updated_at DESC, c.id DESC) AS place \
                 FROM (", joined!(), ") j STRAIGHT_JOIN conversations c ON c.id = j.id \
                 WHERE c.dissolved = 0 AND (?2 = 0 OR c.type = ?2) \
                   AND (?3 = 0 OR c.updated_at > ?4 OR c.changed_at > ?4 OR j.changed_at > ?4 OR EXISTS ( \
                        SELECT 1 FROM user_read_pointers rp WHERE rp.user_id = ?1 \
                        AND rp.conversation_id = c.id AND rp.updated_at > ?4) \
                    OR c.id IN (SELECT os.conversation_id FROM conversation_states os \
                        WHERE os.user_id = ?1 AND os.updated_at > ?4) \
                    OR (c.type = 1 AND EXISTS ( \
                        SELECT 1 FROM users cu WHERE cu.id = ", peer_id!(), " \
                        AND cu.updated_at > ?4)) \
                    OR (c.type = 1 AND EXISTS ( \
                        SELECT 1 FROM user_read_pointers cp WHERE cp.user_id = ", peer_id!(), " \
                        AND cp.conversation_id = c.id AND cp.updated_at > ?4 \
                        AND NOT ", blocked!("cp.user_id"), " AND ", tells_reads!(), ")))) mine \
             WHERE place = 1 OR (is_behind AND place BETWEEN ?5 AND ?6)) page ON head.n = 1 ",
        entry_joins!(),
        " ORDER BY head.n, page.is_behind, page.place"
    );
    // ?1 user, ?2 kind or 0, ?3 lower-case part of a name, ?4 limit, ?5 whether an entry stands
    // before the page, ?6 and ?7 which.
    Search = concat!(
        "SELECT ", entry_columns!(), " FROM ( \
             SELECT c.id, c.updated_at FROM (", joined!(), ") j \
             STRAIGHT_JOIN conversations c ON c.id = j.id \
             LEFT JOIN conversation_members pm ON c.type = 1 AND pm.conversation_id = c.id \
                  AND pm.user_id <> ?1 \
             LEFT JOIN users peer ON peer.id = pm.user_id \
             WHERE c.dissolved = 0 AND (?2 = 0 OR c.type = ?2) \
               AND LOCATE(?3, (CASE WHEN c.type = 1 THEN COALESCE(peer.username_key, '') \
                               ELSE LOWER(c.name) END) COLLATE utf8mb4_bin) > 0 \
               AND (?5 = 0 OR c.updated_at < ?6 OR (c.updated_at = ?6 AND c.id < ?7)) \
             ORDER BY c.updated_at DESC, c.id DESC LIMIT ?4) page ", entry_joins!(),
        " ORDER BY page.updated_at DESC, page.id DESC"
    );
    // ?1 user.
    Unread = concat!(
        "SELECT c.id, ", unread!(), " FROM (", joined!(), ") j \
         STRAIGHT_JOIN conversations c ON c.id = j.id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
         WHERE c.dissolved = 0"
    );
    // ?1 user, ?2 JSON array of ids.
    UnreadOf = concat!(
        "SELECT c.id, ", unread!(), " FROM (SELECT DISTINCT id FROM \
             JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) t) j \
         STRAIGHT_JOIN conversations c ON c.id = j.id COLLATE utf8mb4_bin \
         LEFT JOIN conversation_members m ON m.user_id = ?1 AND m.conversation_id = c.id \
         LEFT JOIN user_read_pointers p ON p.user_id = ?1 AND p.conversation_id = c.id \
         WHERE c.dissolved = 0 AND (c.type = 3 OR m.user_id IS NOT NULL)"
    );
}

/// The total, the place, whether the entry belongs to the page, the removed ids and the heads as
/// JSON, and the entry if there is one.
type Line = (u64, u64, u64, Option<String>, Option<String>, Option<Entry>);

pub(super) async fn page(conn: &mut Conn, query: &ListQuery) -> DbResult<ListPage> {
    let kind = query.kind.map_or(0, |kind| kind as i32);
    let since = query.updated_after.map(At);
    let limits = pages::Limits::of(query);
    let offset = query.after.map_or(query.offset, |_| 0);
    let first = u64::from(offset) + 1;
    let last = u64::from(offset) + u64::from(limits.entries_read());
    let at = query.after.map(|(at, _)| At(at));
    let id = query.after.map(|(_, id)| id.to_string());
    let removed_after = query.removed_after.map(|id| id.to_string());
    let heads = (!query.heads_of.is_empty()).then(|| json_ids(query.heads_of.iter().copied()));
    let binds = binds![
        query.user,
        kind,
        since.is_some(),
        since,
        first,
        last,
        at.is_some(),
        at,
        id.unwrap_or_default(),
        limits.removed_read(),
        removed_after.unwrap_or_default(),
        heads
    ];
    let lines: Vec<Line> = rows::<Page, _>(conn, &binds).await?;
    let mut page = ListPage::default();
    for (total, place, is_behind, removed, heads, entry) in lines {
        page.total = page.total.max(total);
        if let Some(json) = removed {
            (page.removed, page.has_more_removed) = pages::removed(&json, limits.removed)?;
        }
        if let Some(json) = heads {
            page.heads = pages::heads(&json)?;
        }
        let wanted = is_behind > 0 && (first..=last).contains(&place);
        page.entries.extend(entry.filter(|_| wanted).map(|e| e.0));
    }
    page.has_more = pages::cut(&mut page.entries, limits.entries);
    Ok(page)
}

pub(super) async fn search(conn: &mut Conn, query: &SearchQuery) -> DbResult<SearchPage> {
    let needle = gochat_core::text::folded(&query.query);
    if needle.is_empty() {
        return Ok(SearchPage::default());
    }
    let kind = query.kind.map_or(0, |kind| kind as i32);
    let limit = query.limit.min(MAX_PAGE);
    let at = query.after.map(|(at, _)| At(at));
    let id = query
        .after
        .map(|(_, id)| id.to_string())
        .unwrap_or_default();
    let binds = binds![query.user, kind, &needle, limit + 1, at.is_some(), at, &id];
    let mut found: Vec<Entry> = rows::<Search, _>(conn, &binds).await?;
    let has_more = pages::cut(&mut found, limit);
    Ok(SearchPage {
        entries: found.into_iter().map(|e| e.0).collect(),
        has_more,
    })
}

/// The ids are a JSON array; `None` asks for the whole list.
pub(super) async fn unread(
    conn: &mut Conn,
    (user, ids): &(UserId, Option<String>),
) -> DbResult<Vec<(ConversationId, u64)>> {
    match ids {
        Some(ids) => rows::<UnreadOf, _>(conn, &binds![*user, ids]).await,
        None => rows::<Unread, _>(conn, &binds![*user]).await,
    }
}
