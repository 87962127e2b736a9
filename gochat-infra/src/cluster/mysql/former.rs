//! Texts of messages from before their edits: keeping, reading and erasing them.

use gochat_core::ids::{ConversationId, SeqId};
use gochat_core::message::{FORMER_TEXTS_MAX, FormerText};

use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, json_array, rows, statements,
};
use crate::port::db::DbResult;
use crate::sql::former::{self, Former, Of};

statements! {
    // ?1 [[conversation, seq], …]. The messages are locked until the commit, so no other
    // transaction writes former texts of them in between.
    Numbers = "SELECT f.conversation_id, f.seq_id, f.edit_no FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', seq_id BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN former_texts f ON f.conversation_id = j.id COLLATE utf8mb4_bin \
             AND f.seq_id = j.seq_id";
    // ?1 [[conversation, seq, number], …]
    Copy = "INSERT INTO former_texts (conversation_id, seq_id, edit_no, content, extra, written_at) \
         SELECT m.conversation_id, m.seq_id, j.edit_no, m.content, m.extra, \
             COALESCE(m.edited_at, m.created_at) FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$[0]', \
             seq_id BIGINT PATH '$[1]', edit_no INT PATH '$[2]')) j \
         STRAIGHT_JOIN messages m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
             AND m.seq_id = j.seq_id";
    DropBelow = "DELETE FROM former_texts \
         WHERE conversation_id = ?1 AND seq_id = ?2 AND edit_no < ?3";
    // ?1 [[conversation, seq], …]
    Erase = "DELETE f FROM JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', seq_id BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN former_texts f ON f.conversation_id = j.id COLLATE utf8mb4_bin \
             AND f.seq_id = j.seq_id";
    // ?1 conversation, ?2 seq, ?3 rows. A message that an older program recalled has none either.
    Texts = "SELECT f.edit_no, f.content, f.extra, f.written_at FROM messages m \
         STRAIGHT_JOIN former_texts f ON f.conversation_id = m.conversation_id \
             AND f.seq_id = m.seq_id \
         WHERE m.conversation_id = ?1 AND m.seq_id = ?2 AND m.deleted = 0 \
         ORDER BY f.edit_no LIMIT ?3";
}

const INSERT: Rows = Rows {
    head: "INSERT INTO former_texts (conversation_id, seq_id, edit_no, content, extra, written_at) VALUES ",
    row: "(?, ?, ?, ?, ?, ?)",
    tail: "",
};
const INSERT_WIDTH: usize = 6;

/// Keeps texts that are about to be replaced. Costs nothing where none is kept.
pub(super) async fn keep(conn: &mut Conn, former: Vec<Former<'_>>) -> DbResult<()> {
    if former.is_empty() {
        return Ok(());
    }
    let places = former::places(&former::messages(&former));
    let stored: Vec<(ConversationId, SeqId, u32)> =
        rows::<Numbers, _>(conn, &binds![places]).await?;
    let writes = former::plan(former, &stored);
    if !writes.copied.is_empty() {
        let line = |((id, seq), number): &(Of, u32)| format!("[\"{id}\",{seq},{number}]");
        let copied = json_array(writes.copied.iter().map(line));
        execute::<Copy>(conn, &binds![copied]).await?;
    }
    let added = writes.added.into_iter();
    let values = added.flat_map(|((id, seq), number, (content, extra), at)| {
        binds![id, seq, number, content, extra, At(at)]
    });
    let values: Vec<Bind<'_>> = values.collect();
    execute_rows(conn, &INSERT, INSERT_WIDTH, &values).await?;
    for ((id, seq), oldest) in writes.dropped {
        execute::<DropBelow>(conn, &binds![id, seq, oldest]).await?;
    }
    Ok(())
}

/// Erases what is kept of messages that were recalled.
pub(super) async fn erase(conn: &mut Conn, of: &[Of]) -> DbResult<()> {
    if of.is_empty() {
        return Ok(());
    }
    execute::<Erase>(conn, &binds![former::places(of)])
        .await
        .map(drop)
}

pub(super) async fn of(
    conn: &mut Conn,
    &(id, seq): &(ConversationId, SeqId),
) -> DbResult<Vec<FormerText>> {
    rows::<Texts, _>(conn, &binds![id, seq, FORMER_TEXTS_MAX]).await
}
