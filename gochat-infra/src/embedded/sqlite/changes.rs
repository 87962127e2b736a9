//! Changes of messages: storing them, and reading what is new or changed.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{Rev, UnixMillis};

use super::query::{binds, execute, rows, statements};
use super::{former, mentions, reactions};
use crate::port::db::{
    ChangesPage, ChangesQuery, DbResult, MAX_CHANGES_PAGE, MessageEntry, NewChange, SaveOutcome,
};
use crate::sql;
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
    Stands = concat!(
        "SELECT ", columns!(stand "m"), " FROM json_each(?1) j \
         CROSS JOIN messages m ON m.conversation_id = j.value ->> 0 AND m.seq_id = j.value ->> 1 \
              AND m.id = j.value ->> 2"
    );
    // ?10 whether content and extra are replaced
    Write = "UPDATE messages SET changed_rev = ?3, deleted = ?4, \
             edited_at = ?5, edit_count = ?6, pinned = ?7, reactions = ?8, \
             updated_at = max(updated_at, ?9), \
             content = iif(?10, ?11, content), extra = iif(?10, ?12, extra), \
             refs = iif(?4, NULL, refs) \
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
    let mut applied = changes::apply(changes, stands);
    former::keep(conn, std::mem::take(&mut applied.former))?;
    for row in &applied.changed {
        write(conn, row)?;
        pause();
    }
    for (conversation, seq) in sql::mentions::erased(&applied.changed) {
        mentions::erase(conn, conversation, seq)?;
        former::erase(conn, conversation, seq)?;
        pause();
    }
    for (change, outcome) in changes.iter().zip(&applied.outcomes) {
        if *outcome == SaveOutcome::Stored {
            remember(conn, change)?;
            pending.of(change.conversation_id).note_change(change);
        }
        pause();
    }
    reactions::write(conn, &applied.writes, pending, pause)?;
    Ok(applied.outcomes)
}

fn write(conn: &mut SqliteConnection, row: &Changed<'_>) -> DbResult<()> {
    let stand = &row.stand;
    let (content, extra) = row.text.unwrap_or_default();
    let values = binds![
        stand.conversation_id,
        stand.seq_id,
        stand.rev,
        stand.deleted,
        stand.edited_at,
        stand.edit_count,
        stand.pinned,
        stand.reactions_json(),
        row.at,
        row.text.is_some(),
        content,
        extra,
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
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        Plan = concat!("EXPLAIN QUERY PLAN ", since!());
    }

    /// Cost must not grow with what is behind the page.
    #[test]
    fn a_page_of_changes_is_a_walk_along_its_index() {
        let step = "USING INDEX idx_conv_state_rev (conversation_id=? AND state_rev>?)";
        plan::<Plan>(&binds!["g_1", 1_i64, 51_i64], step);
    }
}
