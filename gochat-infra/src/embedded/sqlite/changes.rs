//! Changes of messages: storing them, and reading what is new or changed.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{Rev, UnixMillis};

use super::query::{binds, execute, rows, statements};
use crate::port::db::{
    ChangesPage, ChangesQuery, DbResult, MAX_CHANGES_PAGE, MessageEntry, NewChange, SaveOutcome,
};
use crate::sql::batch::Pending;
use crate::sql::changes::{self, Changed, Stand};
use crate::sql::history;
use crate::sql::row::columns;

/// `?1` conversation, `?2` the number before the page, `?3` rows.
macro_rules! since {
    () => {
        concat!(
            "SELECT ", columns!(last_rev "c"), ", ", columns!(message "m"), ", ", columns!(brief "u"),
            " FROM conversations c \
             LEFT JOIN messages m INDEXED BY idx_conv_state_rev \
                  ON m.conversation_id = c.id AND m.state_rev > ?2 \
             LEFT JOIN users u ON u.id = m.sender_id \
             WHERE c.id = ?1 ORDER BY m.state_rev LIMIT 0 + ?3"
        )
    };
}

statements! {
    // ?1 [[conversation, seq, id], …]
    Stands = "SELECT m.conversation_id, m.seq_id, m.id, m.state_rev, m.deleted, m.edited_at, \
              m.edit_count FROM json_each(?1) j \
         CROSS JOIN messages m ON m.conversation_id = j.value ->> 0 AND m.seq_id = j.value ->> 1 \
              AND m.id = j.value ->> 2";
    Write = "UPDATE messages SET changed_rev = ?3, deleted = ?4, content = ?5, extra = ?6, \
             edited_at = ?7, edit_count = ?8, updated_at = max(updated_at, ?9) \
             WHERE conversation_id = ?1 AND seq_id = ?2";
    Remember = "INSERT INTO message_changes (conversation_id, rev, sender_id, client_msg_id, \
                message_id, seq_id, kind, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                ON CONFLICT DO NOTHING";
    Since = since!();
    Purge = "DELETE FROM message_changes WHERE (conversation_id, rev) IN \
             (SELECT conversation_id, rev FROM message_changes WHERE created_at < ?1 \
              ORDER BY created_at LIMIT 0 + ?2)";
}

/// Stores changes of messages that are stored. `pause` lets other threads go first.
pub(super) fn store(
    conn: &mut SqliteConnection,
    changes: &[NewChange],
    pending: &mut Pending,
    mut pause: impl FnMut(),
) -> DbResult<Vec<SaveOutcome>> {
    let stands: Vec<Stand> = rows::<Stands, _>(conn, &binds![changes::places(changes)])?;
    let (outcomes, changed) = changes::apply(changes, stands);
    for row in &changed {
        write(conn, row)?;
        pause();
    }
    for (change, outcome) in changes.iter().zip(&outcomes) {
        if *outcome == SaveOutcome::Stored {
            remember(conn, change)?;
            pending.of(change.conversation_id).note_change(change);
        }
        pause();
    }
    Ok(outcomes)
}

fn write(conn: &mut SqliteConnection, row: &Changed<'_>) -> DbResult<()> {
    let stand = &row.stand;
    let values = binds![
        stand.conversation_id,
        stand.seq_id,
        stand.rev,
        stand.deleted,
        row.content,
        row.extra,
        stand.edited_at,
        stand.edit_count,
        row.at,
    ];
    execute::<Write>(conn, &values).map(|_| ())
}

fn remember(conn: &mut SqliteConnection, change: &NewChange) -> DbResult<()> {
    let values = binds![
        change.conversation_id,
        change.rev,
        change.sender_id,
        change.client_msg_id.as_ref(),
        change.message_id,
        change.seq_id,
        change.kind.as_i32(),
        change.created_at,
    ];
    execute::<Remember>(conn, &values).map(|_| ())
}

/// Reads what is new or changed, in one statement and so of one snapshot.
pub(super) fn since(conn: &mut SqliteConnection, query: &ChangesQuery) -> DbResult<ChangesPage> {
    let limit = query.limit.clamp(1, MAX_CHANGES_PAGE);
    let binds = binds![query.conversation, query.after_rev, limit + 1];
    let lines: Vec<(Rev, Option<MessageEntry>)> = rows::<Since, _>(conn, &binds)?;
    Ok(history::changes(lines, limit))
}

pub(super) fn purge(conn: &mut SqliteConnection, before: UnixMillis, limit: u32) -> DbResult<u64> {
    Ok(execute::<Purge>(conn, &binds![before, limit])? as u64)
}

#[cfg(test)]
mod tests {
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;

    use super::*;
    use crate::embedded::sqlite::dump;

    statements! {
        Plan = concat!("EXPLAIN QUERY PLAN ", since!());
    }

    /// Cost must not grow with what is behind the page.
    #[test]
    fn a_page_of_changes_is_a_walk_along_its_index() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(&dump()).unwrap();
        let binds = binds!["g_1", 1_i64, 51_i64];
        let plan: Vec<(i64, i64, i64, String)> = rows::<Plan, _>(&mut conn, &binds).unwrap();
        let plan: Vec<&str> = plan.iter().map(|line| line.3.as_str()).collect();
        let walk = "USING INDEX idx_conv_state_rev (conversation_id=? AND state_rev>?)";
        assert!(plan.iter().any(|line| line.contains(walk)), "{plan:?}");
        let is_slow = |line: &&str| line.contains("TEMP B-TREE") || line.starts_with("SCAN");
        assert!(!plan.iter().any(is_slow), "{plan:?}");
    }
}
