//! The outbox of system messages.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::message::SystemMessage;

use super::SqliteDatabase;
use super::query::{binds, execute, json_array, rows, statements};
use crate::port::db::{DbResult, MAX_PAGE, OwedMessage, OwedMessageStore, OwedQuery};

statements! {
    Insert = "INSERT INTO owed_messages (conversation_id, sender_id, content, created_at) \
              VALUES (?1, ?2, ?3, ?4)";
    OfOne = "SELECT id, conversation_id, sender_id, content, created_at FROM owed_messages \
             WHERE conversation_id = ?1 AND id > ?2 AND created_at < ?3 ORDER BY id LIMIT 0 + ?4";
    OfAll = "SELECT id, conversation_id, sender_id, content, created_at FROM owed_messages \
             WHERE id > ?1 AND created_at < ?2 ORDER BY id LIMIT 0 + ?3";
    Delete = "DELETE FROM owed_messages WHERE id IN (SELECT value FROM json_each(?1))";
}

/// Notes what a change that is written in this transaction owes.
pub(super) fn owe(
    conn: &mut SqliteConnection,
    id: ConversationId,
    messages: &[(UserId, SystemMessage)],
    now: UnixMillis,
) -> DbResult<()> {
    for (author, message) in messages {
        execute::<Insert>(conn, &binds![id, *author, message.to_content(), now])?;
    }
    Ok(())
}

fn list(conn: &mut SqliteConnection, query: &OwedQuery) -> DbResult<Vec<OwedMessage>> {
    let (after, before) = (query.after_id, query.before);
    let limit = query.limit.min(MAX_PAGE);
    match query.conversation {
        Some(id) => rows::<OfOne, _>(conn, &binds![id, after, before, limit]),
        None => rows::<OfAll, _>(conn, &binds![after, before, limit]),
    }
}

#[async_trait]
impl OwedMessageStore for SqliteDatabase {
    async fn owed_messages(&self, query: OwedQuery) -> DbResult<Vec<OwedMessage>> {
        self.read(move |conn| list(conn, &query)).await
    }

    async fn settle_owed(&self, ids: &[u64]) -> DbResult<u64> {
        let ids = &ids[..ids.len().min(MAX_PAGE as usize)];
        let list = json_array(ids);
        self.write(ids.len(), move |conn| {
            execute::<Delete>(conn, &binds![&list]).map(|n| n as u64)
        })
        .await
    }
}
