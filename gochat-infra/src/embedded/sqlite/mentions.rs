//! What messages refer to: users they name, and messages they answer.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::message::EXCERPT_CHARS;

use super::query::{binds, execute, json_array, rows, statements};
use crate::port::db::{DbResult, NewMessage, QuotedRow, SaveOutcome};
use crate::sql::mentions;
use crate::sql::row::columns;

/// `?1` user, `?2` `[[conversation, read up to], …]`.
macro_rules! unread {
    () => {
        "SELECT (SELECT count(*) FROM mentions n WHERE n.user_id IN (0, ?1) \
              AND n.conversation_id = j.value ->> 0 AND n.seq_id > j.value ->> 1 \
              AND n.sender_id <> ?1) FROM json_each(?2) j"
    };
}

/// `?1` conversation, `?2` `[[seq, id], …]`, `?3` characters of content.
macro_rules! quoted {
    () => {
        concat!(
            "SELECT ", columns!(quoted "m"), ", substr(m.content, 1, ?3) FROM json_each(?2) j \
             CROSS JOIN messages m ON m.conversation_id = ?1 AND m.seq_id = j.value ->> 0 \
                  AND +m.id = j.value ->> 1"
        )
    };
}

macro_rules! erase {
    () => {
        "DELETE FROM mentions WHERE conversation_id = ?1 AND seq_id = ?2"
    };
}

statements! {
    // ?1 [[user, conversation, seq, author], …]
    Insert = "INSERT INTO mentions (user_id, conversation_id, seq_id, sender_id) \
              SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3 \
              FROM json_each(?1) j WHERE true ON CONFLICT DO NOTHING";
    Erase = erase!();
    Unread = unread!();
    Quoted = quoted!();
}

/// Stores whom messages name that were stored now.
pub(super) fn insert(
    conn: &mut SqliteConnection,
    messages: &[NewMessage],
    outcomes: &[SaveOutcome],
) -> DbResult<()> {
    let added = mentions::added(messages, outcomes);
    if added.is_empty() {
        return Ok(());
    }
    let line =
        |(user, id, seq, author): &mentions::Mention| format!("[{user},\"{id}\",{seq},{author}]");
    let added = json_array(added.iter().map(line));
    execute::<Insert>(conn, &binds![added]).map(|_| ())
}

/// Deletes whom a message names that was recalled.
pub(super) fn erase(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    seq: SeqId,
) -> DbResult<()> {
    execute::<Erase>(conn, &binds![conversation, seq]).map(|_| ())
}

/// Counts the unread mentions of a user.
pub(super) fn unread(
    conn: &mut SqliteConnection,
    user: UserId,
    read: &[(ConversationId, SeqId)],
) -> DbResult<Vec<(ConversationId, u64)>> {
    let places = json_array(read.iter().map(|(id, seq)| format!("[\"{id}\",{seq}]")));
    let counts: Vec<u64> = rows::<Unread, _>(conn, &binds![user, places])?;
    Ok(mentions::found(read, counts))
}

/// Reads messages that are answered, of which `places` is a JSON array.
pub(super) fn quoted(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    places: &str,
) -> DbResult<Vec<QuotedRow>> {
    rows::<Quoted, _>(conn, &binds![conversation, places, EXCERPT_CHARS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        PlanOfUnread = concat!("EXPLAIN QUERY PLAN ", unread!());
        PlanOfQuoted = concat!("EXPLAIN QUERY PLAN ", quoted!());
        PlanOfErase = concat!("EXPLAIN QUERY PLAN ", erase!());
    }

    /// Cost must grow neither with the mentions that were read nor with those of others.
    #[test]
    fn unread_mentions_and_quotes_are_found_by_their_keys() {
        plan::<PlanOfUnread>(
            &binds![1_i64, r#"[["g_1",7]]"#],
            "n USING PRIMARY KEY (user_id=? AND conversation_id=? AND seq_id>?)",
        );
        plan::<PlanOfQuoted>(
            &binds!["g_1", "[[1,2]]", 100_i64],
            "m USING PRIMARY KEY (conversation_id=? AND seq_id=?)",
        );
        plan::<PlanOfErase>(
            &binds!["g_1", 1_i64],
            "USING INDEX idx_mention_message (conversation_id=? AND seq_id=?)",
        );
    }
}
