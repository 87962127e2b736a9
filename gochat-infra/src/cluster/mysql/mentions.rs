//! What messages refer to: users they name, and messages they answer.

use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::message::EXCERPT_CHARS;

use super::query::{
    Bind, Conn, Rows, binds, execute, execute_rows, json_array, one_row, rows, statements,
};
use crate::port::db::{DbResult, MAX_PAGE, NewMessage, QuotedRow, SaveOutcome};
use crate::sql::mentions;
use crate::sql::row::columns;
use crate::sql::text::Statement as _;

statements! {
    // ?1 [[conversation, seq], …]
    Erase = "DELETE n FROM JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', seq_id BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN mentions n FORCE INDEX (idx_mention_message) \
         ON n.conversation_id = j.id COLLATE utf8mb4_bin AND n.seq_id = j.seq_id";
    // ?1 conversation, ?2 [[seq, id], …], ?3 characters of content
    Quoted = concat!(
        "SELECT ", columns!(quoted "m"), ", SUBSTRING(m.content, 1, ?3) FROM \
         JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS \
             (seq_id BIGINT PATH '$[0]', id BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN messages m FORCE INDEX (PRIMARY) \
              ON m.conversation_id = ?1 AND m.seq_id = j.seq_id AND m.id = j.id"
    );
}

/// What is there stays as it is.
const INSERT: Rows = Rows {
    head: "INSERT INTO mentions (user_id, conversation_id, seq_id, sender_id) VALUES ",
    row: "(?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE sender_id = VALUES(sender_id)",
};
const INSERT_WIDTH: usize = 4;

/// One column per conversation. Each is a look at two ranges of the key, because its bounds are
/// values; a join could not bound the seq and would read what was read long ago.
const UNREAD: Rows = Rows {
    head: "SELECT ",
    row: "(SELECT COUNT(*) FROM mentions n WHERE n.user_id IN (0, ?) \
          AND n.conversation_id = ? AND n.seq_id > ? AND n.sender_id <> ?)",
    tail: "",
};
const UNREAD_WIDTH: usize = 4;

/// Stores whom messages name that were stored now.
pub(super) async fn insert(
    conn: &mut Conn,
    messages: &[NewMessage],
    outcomes: &[SaveOutcome],
) -> DbResult<()> {
    let added = mentions::added(messages, outcomes).into_iter();
    let values = added.flat_map(|(user, id, seq, author)| binds![user, id, seq, author]);
    let values: Vec<Bind<'_>> = values.collect();
    execute_rows(conn, &INSERT, INSERT_WIDTH, &values).await
}

/// Deletes whom messages name that were recalled.
pub(super) async fn erase(conn: &mut Conn, of: &[(ConversationId, SeqId)]) -> DbResult<()> {
    if of.is_empty() {
        return Ok(());
    }
    let of = json_array(of.iter().map(|(id, seq)| format!("[\"{id}\",{seq}]")));
    execute::<Erase>(conn, &binds![of]).await.map(|_| ())
}

/// Counts the unread mentions of a user.
pub(super) async fn unread(
    conn: &mut Conn,
    (user, read): &(UserId, Vec<(ConversationId, SeqId)>),
) -> DbResult<Vec<(ConversationId, u64)>> {
    let mut counts: Vec<u64> = Vec::with_capacity(read.len());
    for page in read.chunks(MAX_PAGE as usize) {
        let values = page
            .iter()
            .flat_map(|(id, seq)| binds![*user, *id, *seq, *user]);
        let values: Vec<Bind<'_>> = values.collect();
        counts.extend(one_row::<u64>(conn, &UNREAD, UNREAD_WIDTH, &values).await?);
    }
    Ok(mentions::found(read, counts))
}

/// Reads messages that are answered, of which `places` is a JSON array.
pub(super) async fn quoted(
    conn: &mut Conn,
    (conversation, places): &(ConversationId, String),
) -> DbResult<Vec<QuotedRow>> {
    let binds = binds![*conversation, places, EXCERPT_CHARS];
    rows::<Quoted, _>(conn, &binds).await
}

/// The statements of mentions and quotes, each with the table and the index that it must go by, for
/// tests that look at their plans.
#[doc(hidden)]
pub fn mention_statements() -> [(&'static str, &'static str, &'static str); 3] {
    [
        (UNREAD.row, "n", "PRIMARY"),
        (Quoted::TEXT, "m", "PRIMARY"),
        (Erase::TEXT, "n", "idx_mention_message"),
    ]
}
