//! The outbox of system messages.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::message::SystemMessage;

use super::MysqlDatabase;
use super::query::{At, Conn, binds, execute, json_array, rows, statements};
use super::run::work;
use crate::port::db::{DbResult, MAX_PAGE, OwedMessage, OwedMessageStore, OwedQuery};

statements! {
    Insert = "INSERT INTO owed_messages (conversation_id, sender_id, content, created_at) \
              VALUES (?1, ?2, ?3, ?4)";
    OfOne = "SELECT id, conversation_id, sender_id, content, created_at FROM owed_messages \
             WHERE conversation_id = ?1 AND id > ?2 AND created_at < ?3 ORDER BY id LIMIT ?4";
    OfAll = "SELECT id, conversation_id, sender_id, content, created_at FROM owed_messages \
             WHERE id > ?1 AND created_at < ?2 ORDER BY id LIMIT ?3";
    Delete = "DELETE o FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN owed_messages o ON o.id = j.id";
}

/// Notes what a change that is written in this transaction owes.
pub(super) async fn owe(
    conn: &mut Conn,
    id: ConversationId,
    messages: &[(UserId, SystemMessage)],
    now: UnixMillis,
) -> DbResult<()> {
    for (author, message) in messages {
        let content = message.to_content();
        execute::<Insert>(conn, &binds![id, *author, &content, At(now)]).await?;
    }
    Ok(())
}

async fn list(conn: &mut Conn, query: &OwedQuery) -> DbResult<Vec<OwedMessage>> {
    let (after, before) = (query.after_id, At(query.before));
    let limit = query.limit.min(MAX_PAGE);
    match query.conversation {
        Some(id) => rows::<OfOne, _>(conn, &binds![id, after, before, limit]).await,
        None => rows::<OfAll, _>(conn, &binds![after, before, limit]).await,
    }
}

async fn settle(conn: &mut Conn, ids: &String) -> DbResult<u64> {
    let done = execute::<Delete>(conn, &binds![ids]).await;
    done.map(|n| n as u64)
}

#[async_trait]
impl OwedMessageStore for MysqlDatabase {
    async fn owed_messages(&self, query: OwedQuery) -> DbResult<Vec<OwedMessage>> {
        self.read(query, work!(list)).await
    }

    async fn settle_owed(&self, ids: &[u64]) -> DbResult<u64> {
        let ids = json_array(&ids[..ids.len().min(MAX_PAGE as usize)]);
        self.write(true, &[], ids, work!(settle)).await
    }
}
