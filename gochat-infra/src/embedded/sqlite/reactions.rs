//! Reactions and pins: storing and reading them.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::{Emoji, PINS_MAX};

use super::query::{binds, execute, rows, statements};
use crate::port::db::{DbResult, MAX_PAGE, NewChange, PinsPage, ReactionsPage, ReactionsQuery};
use crate::sql::batch::Pending;
use crate::sql::reactions::{self, Line, Writes};
use crate::sql::row::columns;

/// `?1` conversation, `?2` message, `?3` the number before the page, `?4` rows, `?5` an emoji.
macro_rules! page {
    ($index:literal, $filter:literal) => {
        concat!(
            "SELECT ", columns!(reaction "r"), ", ", columns!(brief "u"),
            " FROM message_reactions r ", $index, " LEFT JOIN users u ON u.id = r.user_id \
             WHERE r.conversation_id = ?1 AND r.message_id = ?2 ", $filter, " AND r.rev > ?3 \
             ORDER BY r.rev LIMIT 0 + ?4"
        )
    };
}
macro_rules! page_of_all {
    () => {
        page!("", "")
    };
}
macro_rules! page_of_one {
    () => {
        page!("INDEXED BY idx_reaction_emoji", "AND r.emoji = ?5")
    };
}

/// `?1` conversation, `?2` user, `?3` `[message, …]`.
macro_rules! own {
    () => {
        "SELECT r.message_id, r.emoji FROM json_each(?3) j \
         CROSS JOIN message_reactions r INDEXED BY uk_reaction \
              ON r.conversation_id = ?1 AND r.user_id = ?2 AND r.message_id = j.value"
    };
}

/// `?1` conversation, `?2` rows.
macro_rules! pins {
    () => {
        concat!(
            "SELECT ", columns!(last_rev "c"), ", p.rev, ", columns!(message "m"), ", ",
            columns!(brief "u"), " FROM conversations c \
             LEFT JOIN message_pins p INDEXED BY idx_pin_rev ON p.conversation_id = c.id \
             LEFT JOIN messages m ON m.conversation_id = p.conversation_id AND m.seq_id = p.seq_id \
             LEFT JOIN users u ON u.id = m.sender_id \
             WHERE c.id = ?1 ORDER BY p.rev DESC LIMIT 0 + ?2"
        )
    };
}

statements! {
    Erase = "DELETE FROM message_reactions WHERE conversation_id = ?1 AND message_id = ?2";
    Remove = "DELETE FROM message_reactions WHERE conversation_id = ?1 AND user_id = ?2 \
              AND message_id = ?3 AND emoji = ?4";
    Add = "INSERT INTO message_reactions (conversation_id, message_id, rev, seq_id, user_id, emoji, \
           created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
    Unpin = "DELETE FROM message_pins WHERE conversation_id = ?1 AND message_id = ?2";
    Pin = "INSERT INTO message_pins (conversation_id, message_id, rev, seq_id, user_id, created_at) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET rev = excluded.rev, \
           seq_id = excluded.seq_id, user_id = excluded.user_id, created_at = excluded.created_at";
    CountPins = "UPDATE conversations SET pinned_count = \
                 (SELECT count(*) FROM message_pins p WHERE p.conversation_id = ?1) WHERE id = ?1";
    PageOfAll = page_of_all!();
    PageOfOne = page_of_one!();
    Own = own!();
    Pins = pins!();
}

/// Writes what changes do to reactions and pins. `pause` lets other threads go first.
pub(super) fn write(
    conn: &mut SqliteConnection,
    writes: &Writes<'_>,
    pending: &mut Pending,
    mut pause: impl FnMut(),
) -> DbResult<()> {
    for (conversation, message) in &writes.erased {
        execute::<Erase>(conn, &binds![*conversation, *message])?;
        pause();
    }
    for change in &writes.removed {
        let (id, user, message) = (change.conversation_id, change.sender_id, change.message_id);
        execute::<Remove>(conn, &binds![id, user, message, &change.content])?;
        pause();
    }
    for change in &writes.added {
        add(conn, change)?;
        pause();
    }
    for (conversation, message) in &writes.unpinned {
        execute::<Unpin>(conn, &binds![*conversation, *message])?;
        pause();
    }
    for change in &writes.pinned {
        pin(conn, change)?;
        pause();
    }
    for id in &writes.counted {
        pending.of(*id).moves_pins = true;
    }
    Ok(())
}

fn add(conn: &mut SqliteConnection, change: &NewChange) -> DbResult<()> {
    let values = binds![
        change.conversation_id,
        change.message_id,
        change.rev,
        change.seq_id,
        change.sender_id,
        &change.content,
        change.created_at,
    ];
    execute::<Add>(conn, &values).map(|_| ())
}

fn pin(conn: &mut SqliteConnection, change: &NewChange) -> DbResult<()> {
    let values = binds![
        change.conversation_id,
        change.message_id,
        change.rev,
        change.seq_id,
        change.sender_id,
        change.created_at,
    ];
    execute::<Pin>(conn, &values).map(|_| ())
}

/// Deletes the reactions and the pin of a message that was recalled without a number.
pub(super) fn erase(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    message: MessageId,
) -> DbResult<()> {
    execute::<Erase>(conn, &binds![conversation, message])?;
    execute::<Unpin>(conn, &binds![conversation, message])?;
    count_pins(conn, conversation)
}

/// Counts the pins of a conversation.
pub(super) fn count_pins(conn: &mut SqliteConnection, id: ConversationId) -> DbResult<()> {
    execute::<CountPins>(conn, &binds![id]).map(|_| ())
}

/// Reads who reacted to a message.
pub(super) fn page(conn: &mut SqliteConnection, query: &ReactionsQuery) -> DbResult<ReactionsPage> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    let emoji = query.emoji.as_ref().map(Emoji::as_str);
    let binds = binds![
        query.conversation,
        query.message,
        query.after_rev,
        limit + 1,
        emoji
    ];
    let lines: Vec<Line> = match emoji {
        None => rows::<PageOfAll, _>(conn, &binds)?,
        Some(_) => rows::<PageOfOne, _>(conn, &binds)?,
    };
    Ok(reactions::page(lines, limit))
}

/// Reads what a user reacted with to messages, of which `ids` is a JSON array.
pub(super) fn own(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    user: UserId,
    ids: &str,
) -> DbResult<Vec<(MessageId, Emoji)>> {
    let found: Vec<(MessageId, String)> = rows::<Own, _>(conn, &binds![conversation, user, ids])?;
    Ok(reactions::known(found))
}

/// Reads the pinned messages, in one statement and so of one snapshot.
pub(super) fn pins(conn: &mut SqliteConnection, id: ConversationId) -> DbResult<PinsPage> {
    Ok(reactions::pins(rows::<Pins, _>(
        conn,
        &binds![id, PINS_MAX],
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        PlanOfAll = concat!("EXPLAIN QUERY PLAN ", page_of_all!());
        PlanOfOne = concat!("EXPLAIN QUERY PLAN ", page_of_one!());
        PlanOfOwn = concat!("EXPLAIN QUERY PLAN ", own!());
        PlanOfPins = concat!("EXPLAIN QUERY PLAN ", pins!());
    }

    /// Cost must not grow with the number of reactions, nor with that of other emoji.
    #[test]
    fn reactions_and_pins_are_walks_along_their_indexes() {
        let page = binds!["g_1", 1_i64, 1_i64, 51_i64, "x"];
        plan::<PlanOfAll>(
            &page,
            "USING PRIMARY KEY (conversation_id=? AND message_id=? AND rev>?)",
        );
        plan::<PlanOfOne>(
            &page,
            "USING INDEX idx_reaction_emoji \
             (conversation_id=? AND message_id=? AND emoji=? AND rev>?)",
        );
        plan::<PlanOfOwn>(
            &binds!["g_1", 1_i64, "[1,2]"],
            "USING COVERING INDEX uk_reaction (conversation_id=? AND user_id=? AND message_id=?)",
        );
        plan::<PlanOfPins>(
            &binds!["g_1", 100_i64],
            "USING INDEX idx_pin_rev (conversation_id=?)",
        );
    }
}
