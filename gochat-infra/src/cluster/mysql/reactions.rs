//! Reactions and pins: storing and reading them.

use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::{Emoji, PINS_MAX};

use super::facts::reactors_statement;
use super::query::{At, Bind, Conn, Rows, binds, execute, execute_rows, rows, statements};
use crate::port::db::{DbResult, MAX_PAGE, PinsPage, ReactionsPage, ReactionsQuery};
use crate::sql::batch::Pending;
use crate::sql::reactions::{self, Line, Of, Writes};
use crate::sql::row::columns;
use crate::sql::text::Statement as _;

/// `?1` `[[conversation, message], …]`.
macro_rules! messages {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', message_id BIGINT PATH '$[1]')) j"
    };
}

/// `?1` conversation, `?2` message, `?3` the number before the page, `?4` rows, `?5` an emoji.
macro_rules! page {
    ($index:literal, $filter:literal) => {
        concat!(
            "SELECT ", columns!(reaction "r"), ", ", columns!(brief "u"),
            " FROM message_reactions r FORCE INDEX (", $index, ") \
             LEFT JOIN users u ON u.id = r.user_id \
             WHERE r.conversation_id = ?1 AND r.message_id = ?2 ", $filter, " AND r.rev > ?3 \
             ORDER BY r.rev LIMIT ?4"
        )
    };
}

statements! {
    Erase = concat!(
        "DELETE r FROM ", messages!(), " STRAIGHT_JOIN message_reactions r \
         ON r.conversation_id = j.id COLLATE utf8mb4_bin AND r.message_id = j.message_id"
    );
    // ?1 [[conversation, user, message, emoji], …]
    Remove = "DELETE r FROM JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', user_id BIGINT PATH '$[1]', \
              message_id BIGINT PATH '$[2]', \
              emoji VARCHAR(64) CHARACTER SET utf8mb4 PATH '$[3]')) j \
         STRAIGHT_JOIN message_reactions r \
         ON r.conversation_id = j.id COLLATE utf8mb4_bin AND r.user_id = j.user_id \
              AND r.message_id = j.message_id AND r.emoji = j.emoji COLLATE utf8mb4_bin";
    Unpin = concat!(
        "DELETE p FROM ", messages!(), " STRAIGHT_JOIN message_pins p \
         ON p.conversation_id = j.id COLLATE utf8mb4_bin AND p.message_id = j.message_id"
    );
    PageOfAll = page!("PRIMARY", "");
    PageOfOne = page!("idx_reaction_emoji", "AND r.emoji = ?5");
    // ?1 conversation, ?2 user, ?3 [message, …]
    Own = "SELECT r.message_id, r.emoji FROM \
         JSON_TABLE(CONVERT(?3 USING utf8mb4), '$[*]' COLUMNS (message_id BIGINT PATH '$')) j \
         STRAIGHT_JOIN message_reactions r FORCE INDEX (uk_reaction) \
              ON r.conversation_id = ?1 AND r.user_id = ?2 AND r.message_id = j.message_id";
    // ?1 conversation, ?2 rows
    Pins = concat!(
        "SELECT ", columns!(last_rev "c"), ", k.rev, ", columns!(message "m"), ", ",
        columns!(brief "u"), " FROM conversations c \
         LEFT JOIN (SELECT rev, seq_id FROM message_pins FORCE INDEX (idx_pin_rev) \
              WHERE conversation_id = ?1 ORDER BY rev DESC LIMIT ?2) k ON TRUE \
         LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq_id = k.seq_id \
         LEFT JOIN users u ON u.id = m.sender_id \
         WHERE c.id = ?1"
    );
}

/// What is there stays as it is.
const ADD: Rows = Rows {
    head: "INSERT INTO message_reactions (conversation_id, message_id, rev, seq_id, user_id, emoji, \
           created_at) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE seq_id = VALUES(seq_id)",
};
const ADD_WIDTH: usize = 7;

const PIN: Rows = Rows {
    head: "INSERT INTO message_pins (conversation_id, message_id, rev, seq_id, user_id, created_at) \
           VALUES ",
    row: "(?, ?, ?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE rev = VALUES(rev), seq_id = VALUES(seq_id), \
           user_id = VALUES(user_id), created_at = VALUES(created_at)",
};
const PIN_WIDTH: usize = 6;

/// The rows of the conversations are locked before their pins are counted, and the pins are read
/// without locks: two transactions that pin in one conversation wait for each other's rows once.
const COUNT_PINS: Rows = Rows {
    head: "UPDATE conversations SET pinned_count = (SELECT COUNT(*) FROM message_pins p \
           WHERE p.conversation_id = conversations.id) WHERE id IN (",
    row: "?",
    tail: ")",
};

/// Writes what changes do to reactions and pins.
pub(super) async fn write(
    conn: &mut Conn,
    writes: &Writes<'_>,
    pending: &mut Pending,
) -> DbResult<()> {
    delete::<Erase>(conn, &writes.erased).await?;
    if !writes.removed.is_empty() {
        let removed = reactions::reactions(&writes.removed);
        execute::<Remove>(conn, &binds![removed]).await?;
    }
    let mut added: Vec<Bind<'_>> = Vec::new();
    for change in &writes.added {
        added.extend(binds![
            change.conversation_id,
            change.message_id,
            change.rev,
            change.seq_id,
            change.sender_id,
            &change.content,
            At(change.created_at),
        ]);
    }
    execute_rows(conn, &ADD, ADD_WIDTH, &added).await?;
    delete::<Unpin>(conn, &writes.unpinned).await?;
    let mut pinned: Vec<Bind<'_>> = Vec::new();
    for change in &writes.pinned {
        pinned.extend(binds![
            change.conversation_id,
            change.message_id,
            change.rev,
            change.seq_id,
            change.sender_id,
            At(change.created_at),
        ]);
    }
    execute_rows(conn, &PIN, PIN_WIDTH, &pinned).await?;
    for id in &writes.counted {
        pending.of(*id).moves_pins = true;
    }
    Ok(())
}

async fn delete<S: crate::sql::text::Statement>(conn: &mut Conn, of: &[Of]) -> DbResult<()> {
    if of.is_empty() {
        return Ok(());
    }
    let of = reactions::messages(of);
    execute::<S>(conn, &binds![of]).await.map(|_| ())
}

/// Deletes the reactions and the pin of a message that was recalled without a number.
pub(super) async fn erase(
    conn: &mut Conn,
    conversation: ConversationId,
    message: MessageId,
) -> DbResult<()> {
    let of = [(conversation, message)];
    delete::<Erase>(conn, &of).await?;
    delete::<Unpin>(conn, &of).await?;
    count_pins(conn, [conversation]).await
}

/// Counts the pins of conversations.
pub(super) async fn count_pins(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = ConversationId>,
) -> DbResult<()> {
    let ids: Vec<Bind<'_>> = ids.into_iter().map(Bind::from).collect();
    execute_rows(conn, &COUNT_PINS, 1, &ids).await
}

/// Reads who reacted to a message.
pub(super) async fn page(conn: &mut Conn, query: &ReactionsQuery) -> DbResult<ReactionsPage> {
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
        None => rows::<PageOfAll, _>(conn, &binds).await?,
        Some(_) => rows::<PageOfOne, _>(conn, &binds).await?,
    };
    Ok(reactions::page(lines, limit))
}

/// Reads what a user reacted with to messages, of which `ids` is a JSON array.
pub(super) async fn own(
    conn: &mut Conn,
    (conversation, user, ids): &(ConversationId, UserId, String),
) -> DbResult<Vec<(MessageId, Emoji)>> {
    let binds = binds![*conversation, *user, ids];
    let found: Vec<(MessageId, String)> = rows::<Own, _>(conn, &binds).await?;
    Ok(reactions::known(found))
}

/// Reads the pinned messages, in one statement and so of one snapshot.
pub(super) async fn pins(conn: &mut Conn, id: &ConversationId) -> DbResult<PinsPage> {
    let lines = rows::<Pins, _>(conn, &binds![*id, PINS_MAX]).await?;
    Ok(reactions::pins(lines))
}

/// The statements that read reactions and pins, each with the table and the index that it must go
/// by, for tests that look at their plans.
#[doc(hidden)]
pub fn reaction_statements() -> [(&'static str, &'static str, &'static str); 5] {
    [
        (PageOfAll::TEXT, "r", "PRIMARY"),
        (PageOfOne::TEXT, "r", "idx_reaction_emoji"),
        (Own::TEXT, "r", "uk_reaction"),
        (Pins::TEXT, "message_pins", "idx_pin_rev"),
        (reactors_statement(), "r", "uk_reaction"),
    ]
}
