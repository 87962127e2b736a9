//! Changes of messages: storing them, and reading what is new or changed.

use gochat_core::ids::{Rev, UnixMillis};
use serde_json::json;

use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, json_array, rows, statements,
};
use super::{former, mentions, reactions};
use crate::port::db::{
    ChangesPage, ChangesQuery, DbResult, MAX_CHANGES_PAGE, MessageEntry, NewChange, SaveOutcome,
};
use crate::sql;
use crate::sql::batch::Pending;
use crate::sql::changes::{self, Changed, Stand};
use crate::sql::history;
use crate::sql::row::columns;
use crate::sql::text::Statement as _;

statements! {
    // ?1 [[conversation, seq, id], …]
    Stands = concat!(
        "SELECT ", columns!(stand "m"), " FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (conversation_id VARCHAR(64) PATH '$[0]', \
            seq_id BIGINT PATH '$[1]', id BIGINT PATH '$[2]')) j \
        STRAIGHT_JOIN messages m ON m.conversation_id = j.conversation_id COLLATE utf8mb4_bin \
            AND m.seq_id = j.seq_id AND m.id = j.id FOR UPDATE"
    );
    // ?1 [[conversation, seq, rev, deleted, content, extra, edited at, edits, changed at, pinned,
    // reactions], …], times in milliseconds. A content of NULL leaves content and extra as they
    // are.
    Write = "UPDATE JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
            (conversation_id VARCHAR(64) PATH '$[0]', seq_id BIGINT PATH '$[1]', \
             rev BIGINT PATH '$[2]', deleted INT PATH '$[3]', \
             content MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$[4]', \
             extra MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$[5]', \
             edited_at BIGINT PATH '$[6]', edit_count INT PATH '$[7]', at BIGINT PATH '$[8]', \
             pinned INT PATH '$[9]', reactions TEXT CHARACTER SET utf8mb4 PATH '$[10]')) j \
        STRAIGHT_JOIN messages m ON m.conversation_id = j.conversation_id COLLATE utf8mb4_bin \
            AND m.seq_id = j.seq_id \
        SET m.changed_rev = j.rev, m.deleted = j.deleted, m.pinned = j.pinned, \
            m.reactions = j.reactions, m.refs = IF(j.deleted, NULL, m.refs), \
            m.extra = IF(j.content IS NULL, m.extra, j.extra), \
            m.content = COALESCE(j.content, m.content), \
            m.edited_at = TIMESTAMPADD(MICROSECOND, j.edited_at * 1000, '1970-01-01'), \
            m.edit_count = j.edit_count, m.updated_at = GREATEST(m.updated_at, \
                TIMESTAMPADD(MICROSECOND, j.at * 1000, '1970-01-01'))";
    // The newest ones are found by the index alone; a join of whole rows would be sorted.
    Since = concat!(
        "SELECT ", columns!(last_rev "c"), ", ", columns!(message "m"), ", ", columns!(brief "u"),
        " FROM conversations c \
         LEFT JOIN (SELECT seq_id FROM messages FORCE INDEX (idx_conv_state_rev) \
              WHERE conversation_id = ?1 AND state_rev > ?2 ORDER BY state_rev LIMIT ?3) k ON TRUE \
         LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq_id = k.seq_id \
         LEFT JOIN users u ON u.id = m.sender_id \
         WHERE c.id = ?1"
    );
    Purge = "DELETE FROM message_changes WHERE created_at < ?1 ORDER BY created_at LIMIT ?2";
}

const REMEMBER: Rows = Rows {
    head: "INSERT INTO message_changes (conversation_id, rev, sender_id, client_msg_id, message_id, \
           seq_id, kind, created_at) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE rev = VALUES(rev)",
};
const REMEMBER_WIDTH: usize = 8;

/// Most bytes of rows that one statement writes (one row may be longer).
const WRITE_BYTES: usize = 4 << 20;

/// Stores changes of messages that are stored.
pub(super) async fn store(
    conn: &mut Conn,
    changes: &[NewChange],
    pending: &mut Pending,
) -> DbResult<Vec<SaveOutcome>> {
    let stands: Vec<Stand> = rows::<Stands, _>(conn, &binds![changes::places(changes)]).await?;
    let mut applied = changes::apply(changes, stands);
    former::keep(conn, std::mem::take(&mut applied.former)).await?;
    write(conn, &applied.changed).await?;
    let erased = sql::mentions::erased(&applied.changed);
    former::erase(conn, &erased).await?;
    mentions::erase(conn, &erased).await?;

    let stored = changes.iter().zip(&applied.outcomes);
    let stored = stored.filter(|(_, outcome)| **outcome == SaveOutcome::Stored);
    let mut values: Vec<Bind<'_>> = Vec::new();
    for (change, _) in stored {
        pending.of(change.conversation_id).note_change(change);
        values.extend(binds![
            change.conversation_id,
            change.rev,
            change.sender_id,
            change.client_msg_id.as_ref(),
            change.message_id,
            change.seq_id,
            change.kind.as_i32(),
            At(change.created_at),
        ]);
    }
    execute_rows(conn, &REMEMBER, REMEMBER_WIDTH, &values).await?;
    reactions::write(conn, &applied.writes, pending).await?;
    Ok(applied.outcomes)
}

async fn write(conn: &mut Conn, changed: &[Changed<'_>]) -> DbResult<()> {
    let mut rows = changed.iter().map(line).peekable();
    while let Some(first) = rows.next() {
        let mut bytes = first.len();
        let mut lines = vec![first];
        while let Some(next) = rows.next_if(|next| bytes + next.len() <= WRITE_BYTES) {
            bytes += next.len();
            lines.push(next);
        }
        execute::<Write>(conn, &binds![json_array(lines)]).await?;
    }
    Ok(())
}

fn line(row: &Changed<'_>) -> String {
    let stand = &row.stand;
    let content = row.text.map(|(content, _)| content);
    let extra = row.text.and_then(|(_, extra)| extra);
    let line = json!([
        stand.conversation_id,
        stand.seq_id,
        stand.rev,
        u8::from(stand.deleted),
        content,
        extra,
        stand.edited_at,
        stand.edit_count,
        row.at,
        u8::from(stand.pinned),
        stand.reactions_json(),
    ]);
    line.to_string()
}

/// The statement that reads what is new or changed, for tests that look at its plan.
#[doc(hidden)]
pub fn changes_statement() -> &'static str {
    Since::TEXT
}

/// Reads what is new or changed, in one statement and so of one snapshot.
pub(super) async fn since(conn: &mut Conn, query: &ChangesQuery) -> DbResult<ChangesPage> {
    let limit = query.limit.clamp(1, MAX_CHANGES_PAGE);
    let binds = binds![query.conversation, query.after_rev, limit + 1];
    let lines: Vec<(Rev, Option<MessageEntry>)> = rows::<Since, _>(conn, &binds).await?;
    Ok(history::changes(lines, limit))
}

pub(super) async fn purge(conn: &mut Conn, &(before, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    Ok(execute::<Purge>(conn, &binds![At(before), limit]).await? as u64)
}
