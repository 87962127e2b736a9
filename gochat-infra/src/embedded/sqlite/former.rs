//! Texts of messages from before their edits: keeping, reading and erasing them.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, SeqId};
use gochat_core::message::{FORMER_TEXTS_MAX, FormerText};

use super::query::{binds, execute, rows, statements};
use crate::port::db::DbResult;
use crate::sql::former::{self, Former};

/// `?1` conversation, `?2` seq, `?3` rows. A message that an older program recalled has none either.
macro_rules! texts {
    () => {
        "SELECT f.edit_no, f.content, f.extra, f.written_at FROM messages m \
         CROSS JOIN former_texts f ON f.conversation_id = m.conversation_id AND f.seq_id = m.seq_id \
         WHERE m.conversation_id = ?1 AND m.seq_id = ?2 AND m.deleted = 0 \
         ORDER BY f.edit_no LIMIT 0 + ?3"
    };
}

statements! {
    // ?1 [[conversation, seq], …]
    Numbers = "SELECT f.conversation_id, f.seq_id, f.edit_no FROM json_each(?1) j \
               CROSS JOIN former_texts f ON f.conversation_id = j.value ->> 0 \
                    AND f.seq_id = j.value ->> 1";
    Copy = "INSERT INTO former_texts (conversation_id, seq_id, edit_no, content, extra, written_at) \
            SELECT m.conversation_id, m.seq_id, ?3, m.content, m.extra, \
                 coalesce(m.edited_at, m.created_at) \
            FROM messages m WHERE m.conversation_id = ?1 AND m.seq_id = ?2 \
            ON CONFLICT DO NOTHING";
    Insert = "INSERT INTO former_texts (conversation_id, seq_id, edit_no, content, extra, written_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    DropBelow = "DELETE FROM former_texts \
                 WHERE conversation_id = ?1 AND seq_id = ?2 AND edit_no < ?3";
    Erase = "DELETE FROM former_texts WHERE conversation_id = ?1 AND seq_id = ?2";
    Texts = texts!();
}

/// Keeps texts that are about to be replaced. Costs nothing where none is kept.
pub(super) fn keep(conn: &mut SqliteConnection, former: Vec<Former<'_>>) -> DbResult<()> {
    if former.is_empty() {
        return Ok(());
    }
    let places = former::places(&former::messages(&former));
    let stored: Vec<(ConversationId, SeqId, u32)> = rows::<Numbers, _>(conn, &binds![places])?;
    let writes = former::plan(former, &stored);
    for ((id, seq), number) in writes.copied {
        execute::<Copy>(conn, &binds![id, seq, number])?;
    }
    for ((id, seq), number, (content, extra), at) in writes.added {
        execute::<Insert>(conn, &binds![id, seq, number, content, extra, at])?;
    }
    for ((id, seq), oldest) in writes.dropped {
        execute::<DropBelow>(conn, &binds![id, seq, oldest])?;
    }
    Ok(())
}

/// Erases what is kept of a message that was recalled.
pub(super) fn erase(conn: &mut SqliteConnection, id: ConversationId, seq: SeqId) -> DbResult<()> {
    execute::<Erase>(conn, &binds![id, seq]).map(drop)
}

pub(super) fn of(
    conn: &mut SqliteConnection,
    id: ConversationId,
    seq: SeqId,
) -> DbResult<Vec<FormerText>> {
    rows::<Texts, _>(conn, &binds![id, seq, FORMER_TEXTS_MAX])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        Plan = concat!("EXPLAIN QUERY PLAN ", texts!());
    }

    #[test]
    fn texts_are_found_by_their_key() {
        let step = "f USING PRIMARY KEY (conversation_id=? AND seq_id=?)";
        plan::<Plan>(&binds!["g_1", 3_i64, 20_i64], step);
    }
}
