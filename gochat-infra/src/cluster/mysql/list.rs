//! The conversation list: one statement per page.
//!
//! How it stays fast: `mine` walks the user's memberships in an index that holds nothing else and
//! looks up the narrow columns of each conversation; window functions number and count them in one
//! go; everything wide (texts, last message, people) is joined for the rows of the page alone. The
//! number of stored messages appears nowhere.

use gochat_core::ids::{ConversationId, UserId};

use super::query::{At, Conn, binds, rows, statements};
use crate::port::db::{DbError, DbResult, ListPage, ListQuery, MAX_PAGE, SearchPage, SearchQuery};
use crate::sql::pages;
use crate::sql::row::{Entry, columns};

/// Head − pointer, never negative; nothing in world until it was opened.
macro_rules! unread {
    () => {
        "CASE WHEN c.type = 3 AND p.user_id IS NULL THEN 0 \
              ELSE GREATEST(c.last_seq_id - COALESCE(p.last_read_seq_id, 0), 0) END"
    };
}

/// The wide columns of an entry.
macro_rules! entry_columns {
    () => {
        concat!(
            columns!(conversation "c"), ", ", columns!(member "m"), ", ", columns!(message "lm"),
            ", ", columns!(brief "s"), ", ", columns!(brief "peer"), ", \
             COALESCE(p.last_read_seq_id, 0), ", unread!()
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
         LEFT JOIN users peer ON peer.id = pm.user_id"
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

/// Whether a conversation stands behind the entry before the page: ?7 whether there is one, ?8 and ?9 which.
macro_rules! stands_behind {
    () => {
        "(?7 = 0 OR c.updated_at < ?8 OR (c.updated_at = ?8 AND c.id < ?9))"
    };
}

statements! {
    // ?1 user, ?2 kind or 0, ?3 whether there is a time, ?4 the time, ?5 first place, ?6 last place,
    // ?7 to ?9 the entry before the page. Places are counted on either side of that entry.
    // A pointer that moved counts as a change too, and so does the peer's account: an entry shows both.
    // What left the list is told with the first page.
    // The first row of all is always read for the total, and the outer join from one row answers
    // also when there is none.
    Page = concat!(
        "SELECT COALESCE(page.total, 0), COALESCE(page.place, 0), \
             COALESCE(page.is_behind, 0), \
             CASE WHEN ?3 = 0 OR ?7 <> 0 THEN NULL ELSE (SELECT JSON_ARRAYAGG(id) FROM ( \
                 SELECT conversation_id AS id FROM left_conversations \
                 WHERE user_id = ?1 AND left_at > ?4 \
                 UNION SELECT conversation_id FROM conversation_members \
                 WHERE user_id = ?1 AND hidden = 1 AND updated_at > ?4 \
                 UNION SELECT gm.conversation_id FROM conversation_members gm \
                 STRAIGHT_JOIN conversations gc ON gc.id = gm.conversation_id \
                 WHERE gm.user_id = ?1 AND gc.dissolved = 1 AND gc.updated_at > ?4) gone) END, ",
        entry_columns!(),
        " FROM (SELECT 1 AS one) nothing LEFT JOIN ( \
             SELECT id, place, total, is_behind FROM ( \
                 SELECT c.id, COUNT(*) OVER () AS total, ", stands_behind!(), " AS is_behind, \
                     ROW_NUMBER() OVER (PARTITION BY ", stands_behind!(), " \
                         ORDER BY c.updated_at DESC, c.id DESC) AS place \
                 FROM (", joined!(), ") j STRAIGHT_JOIN conversations c ON c.id = j.id \
                 WHERE c.dissolved = 0 AND (?2 = 0 OR c.type = ?2) \
                   AND (?3 = 0 OR c.updated_at > ?4 OR j.changed_at > ?4 OR EXISTS ( \
                        SELECT 1 FROM user_read_pointers rp WHERE rp.user_id = ?1 \
                        AND rp.conversation_id = c.id AND rp.updated_at > ?4) \
                    OR (c.type = 1 AND EXISTS ( \
                        SELECT 1 FROM conversation_members cm JOIN users cu ON cu.id = cm.user_id \
                        WHERE cm.conversation_id = c.id AND cm.user_id <> ?1 \
                        AND cu.updated_at > ?4)))) mine \
             WHERE place = 1 OR (is_behind AND place BETWEEN ?5 AND ?6)) page ON 1 = 1 ",
        entry_joins!(),
        " ORDER BY page.is_behind, page.place"
    );
    // ?1 user, ?2 kind or 0, ?3 lower-case part of a name, ?4 limit, ?5 whether an entry stands before
    // the page, ?6 and ?7 which.
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

/// The total, the place, whether the entry belongs to the page, the removed ids as JSON, and the entry if
/// there is one.
type Line = (u64, u64, u64, Option<String>, Option<Entry>);

pub(super) async fn page(conn: &mut Conn, query: &ListQuery) -> DbResult<ListPage> {
    let kind = query.kind.map_or(0, |kind| kind as i32);
    let since = query.updated_after.map(At);
    let limit = query.limit.min(MAX_PAGE);
    let offset = query.after.map_or(query.offset, |_| 0);
    let first = u64::from(offset) + 1;
    let last = u64::from(offset) + u64::from(limit) + 1;
    let at = query.after.map(|(at, _)| At(at));
    let id = query
        .after
        .map(|(_, id)| id.to_string())
        .unwrap_or_default();
    let binds = binds![
        query.user,
        kind,
        since.is_some(),
        since,
        first,
        last,
        at.is_some(),
        at,
        &id
    ];
    let lines: Vec<Line> = rows::<Page, _>(conn, &binds).await?;
    let mut page = ListPage::default();
    for (total, place, is_behind, removed, entry) in lines {
        page.total = total;
        if let Some(json) = removed.filter(|_| page.removed.is_empty()) {
            page.removed =
                serde_json::from_str::<Vec<ConversationId>>(&json).map_err(DbError::internal)?;
        }
        let wanted = is_behind > 0 && (first..=last).contains(&place);
        page.entries.extend(entry.filter(|_| wanted).map(|e| e.0));
    }
    page.has_more = pages::cut(&mut page.entries, limit);
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
