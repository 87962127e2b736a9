//! Reading and recalling messages. Saving has a file of its own.

use async_trait::async_trait;
use diesel::connection::Connection as _;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::message::{Emoji, FormerText, Reply};
use gochat_core::receipt::MemberPointer;

use super::query::{binds, execute, first, json_array, json_ids, rows, statements};
use super::{SqliteDatabase, changes, former, mentions, pointers, reactions};
use crate::port::db::{
    ChangesPage, ChangesQuery, DbError, DbResult, Direction, MAX_CHANGES_PAGE, MAX_MEMBER_PAGE,
    MAX_PAGE, MessageEntry, MessagePage, MessageRow, MessageStore, NewChange, NewMessage, PinsPage,
    QuotedRow, RangeQuery, ReactionsPage, ReactionsQuery, ReadOutcome, RecallOutcome, SaveOutcome,
};
use crate::sql::history;
use crate::sql::row::columns;

macro_rules! range {
    ($order:literal) => {
        concat!(
            "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM messages m \
             LEFT JOIN users u ON u.id = m.sender_id \
             WHERE m.conversation_id = ?1 AND m.seq_id BETWEEN ?2 AND ?3 \
             AND (?4 = '[]' OR m.message_type IN (SELECT value FROM json_each(?4))) \
             ORDER BY m.seq_id ", $order, " LIMIT 0 + ?5"
        )
    };
}

statements! {
    ById = concat!(
        "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM messages m \
         LEFT JOIN users u ON u.id = m.sender_id \
         WHERE m.id = ?1 AND (?2 IS NULL OR m.conversation_id = ?2) ORDER BY m.id_copy DESC LIMIT 1"
    );
    Upwards = range!("ASC");
    Downwards = range!("DESC");
    Head = "SELECT last_seq_id FROM conversations WHERE id = ?1";
    // Seqs have no gaps, so the newest N are those above head − N.
    Latest = concat!(
        "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM json_each(?1) j \
         CROSS JOIN conversations c ON c.id = j.value \
         CROSS JOIN messages m ON m.conversation_id = c.id AND m.seq_id > c.last_seq_id - ?2 \
         LEFT JOIN users u ON u.id = m.sender_id \
         ORDER BY j.key, m.seq_id DESC LIMIT 0 + ?3"
    );
    Recall = "UPDATE messages SET deleted = 1, content = '', extra = NULL, pinned = 0, \
              reactions = NULL, refs = NULL, updated_at = max(updated_at, ?3) \
              WHERE id = ?1 AND conversation_id = ?2 AND deleted = 0 AND id_copy = \
              (SELECT max(id_copy) FROM messages WHERE id = ?1 AND conversation_id = ?2)";
    // The list shows the recalled marker, so incremental sync must report the conversation.
    BumpIfLast = "UPDATE conversations SET updated_at = max(updated_at, ?3) \
                  WHERE id = ?1 AND last_message_id = ?2";
    Authors = "SELECT DISTINCT sender_id FROM messages \
               WHERE conversation_id = ?1 AND seq_id > ?2 AND seq_id <= ?3 LIMIT 0 + ?4";
}

fn range(conn: &mut SqliteConnection, query: &RangeQuery) -> DbResult<MessagePage> {
    conn.transaction(|conn| {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let types = json_array(&query.types);
        let filtered = !query.types.is_empty();
        let mut low = query.from.unwrap_or(1).max(1);
        let mut high = query.to.unwrap_or(SeqId::MAX);
        let mut cut = None;
        if filtered {
            let head: SeqId = first::<Head, _>(conn, &binds![query.conversation])?.unwrap_or(0);
            high = high.min(head);
            cut = history::narrow(&mut low, &mut high, query.direction);
        }
        let binds = binds![query.conversation, low, high, &types, limit + 1];
        let messages: Vec<MessageEntry> = match query.direction {
            Direction::Ascending => rows::<Upwards, _>(conn, &binds)?,
            Direction::Descending => rows::<Downwards, _>(conn, &binds)?,
        };
        Ok(history::page(messages, limit, cut))
    })
}

fn recall(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    id: MessageId,
    now: UnixMillis,
) -> DbResult<RecallOutcome> {
    let newly = execute::<Recall>(conn, &binds![id, conversation, now])? > 0;
    if newly {
        reactions::erase(conn, conversation, id)?;
        execute::<BumpIfLast>(conn, &binds![conversation, id, now])?;
    }
    let entry: Option<MessageEntry> = first::<ById, _>(conn, &binds![id, conversation])?;
    let message: MessageRow = entry
        .ok_or_else(|| DbError::not_found(ErrorCode::MessageNotFound))?
        .message;
    if newly {
        mentions::erase(conn, conversation, message.seq_id)?;
        former::erase(conn, conversation, message.seq_id)?;
    }
    Ok(RecallOutcome { message, newly })
}

#[async_trait]
impl MessageStore for SqliteDatabase {
    async fn save_batch(
        &self,
        messages: Vec<NewMessage>,
        changes: Vec<NewChange>,
        now: UnixMillis,
    ) -> DbResult<Vec<SaveOutcome>> {
        self.write_messages(messages, changes, now).await
    }

    async fn message(
        &self,
        id: MessageId,
        conversation: Option<ConversationId>,
    ) -> DbResult<Option<MessageEntry>> {
        self.read(move |conn| first::<ById, _>(conn, &binds![id, conversation]))
            .await
    }

    async fn messages(&self, query: RangeQuery) -> DbResult<MessagePage> {
        self.read(move |conn| range(conn, &query)).await
    }

    async fn quoted(
        &self,
        conversation: ConversationId,
        replies: &[Reply],
        _fresh: bool,
    ) -> DbResult<Vec<QuotedRow>> {
        let most = replies.len().min(MAX_CHANGES_PAGE as usize);
        let places = crate::sql::mentions::places(&replies[..most]);
        self.read(move |conn| mentions::quoted(conn, conversation, &places))
            .await
    }

    async fn former_texts(
        &self,
        conversation: ConversationId,
        seq: SeqId,
    ) -> DbResult<Vec<FormerText>> {
        self.read(move |conn| former::of(conn, conversation, seq))
            .await
    }

    async fn changes(&self, query: ChangesQuery) -> DbResult<ChangesPage> {
        self.read(move |conn| changes::since(conn, &query)).await
    }

    async fn reactions(&self, query: ReactionsQuery) -> DbResult<ReactionsPage> {
        self.read(move |conn| reactions::page(conn, &query)).await
    }

    async fn own_reactions(
        &self,
        conversation: ConversationId,
        user: UserId,
        messages: &[MessageId],
    ) -> DbResult<Vec<(MessageId, Emoji)>> {
        let most = messages.len().min(MAX_CHANGES_PAGE as usize);
        let ids = crate::sql::reactions::ids(&messages[..most]);
        self.read(move |conn| reactions::own(conn, conversation, user, &ids))
            .await
    }

    async fn pins(&self, conversation: ConversationId, _fresh: bool) -> DbResult<PinsPage> {
        self.read(move |conn| reactions::pins(conn, conversation))
            .await
    }

    async fn purge_changes(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        let weight = usize::try_from(limit).unwrap_or(usize::MAX);
        self.write(weight, move |conn| changes::purge(conn, before, limit))
            .await
    }

    async fn latest_messages(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MessageEntry>> {
        let ids = json_ids(ids.iter().copied());
        let limit = limit_each.min(MAX_PAGE);
        self.read(move |conn| rows::<Latest, _>(conn, &binds![&ids, limit, MAX_MEMBER_PAGE]))
            .await
    }

    async fn recall(
        &self,
        conversation: ConversationId,
        id: MessageId,
        now: UnixMillis,
    ) -> DbResult<RecallOutcome> {
        self.write(1, move |conn| recall(conn, conversation, id, now))
            .await
    }

    async fn authors_between(
        &self,
        conversation: ConversationId,
        after: SeqId,
        to: SeqId,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        let limit = limit.min(MAX_MEMBER_PAGE);
        self.read(move |conn| rows::<Authors, _>(conn, &binds![conversation, after, to, limit]))
            .await
    }

    async fn advance_pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
        seq: SeqId,
        now: UnixMillis,
    ) -> DbResult<ReadOutcome> {
        self.write(1, move |conn| {
            pointers::advance(conn, user, conversation, seq, now)
        })
        .await
    }

    async fn member_pointers(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> DbResult<Vec<MemberPointer>> {
        let limit = limit.min(MAX_MEMBER_PAGE);
        self.read(move |conn| pointers::of_members(conn, conversation, limit))
            .await
    }

    async fn pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> DbResult<Option<(SeqId, UnixMillis)>> {
        self.read(move |conn| pointers::get(conn, user, conversation))
            .await
    }
}
