//! Reading and recalling messages. Saving has a file of its own.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::message::{Emoji, FormerText, Reply};
use gochat_core::receipt::MemberPointer;

use super::query::{At, Conn, binds, execute, first, json_array, json_ids, rows, statements};
use super::replica::Key;
use super::run::{Around, work};
use super::{MysqlDatabase, changes, former, mentions, pointers, reactions, save};
use crate::port::db::{
    ChangesPage, ChangesQuery, DbError, DbResult, Direction, MAX_CHANGES_PAGE, MAX_MEMBER_PAGE,
    MAX_PAGE, MessageEntry, MessagePage, MessageStore, NewChange, NewMessage, PinsPage, QuotedRow,
    RangeQuery, ReactionsPage, ReactionsQuery, ReadOutcome, RecallOutcome, SaveOutcome,
};
use crate::sql::history;
use crate::sql::row::columns;

macro_rules! range {
    ($filter:literal, $order:literal) => {
        concat!(
            "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM messages m \
             LEFT JOIN users u ON u.id = m.sender_id \
             WHERE m.conversation_id = ?1 AND m.seq_id BETWEEN ?2 AND ?3 ", $filter, " \
             ORDER BY m.seq_id ", $order, " LIMIT ?4"
        )
    };
}

statements! {
    ById = concat!(
        "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM messages m \
         LEFT JOIN users u ON u.id = m.sender_id \
         WHERE m.id = ?1 AND (?2 = '' OR m.conversation_id = ?2) ORDER BY m.id_copy DESC LIMIT 1"
    );
    Upwards = range!("", "ASC");
    Downwards = range!("", "DESC");
    // ?5 JSON array of message types
    UpwardsOf = range!("AND JSON_CONTAINS(?5, CAST(m.message_type AS CHAR))", "ASC");
    DownwardsOf = range!("AND JSON_CONTAINS(?5, CAST(m.message_type AS CHAR))", "DESC");
    Head = "SELECT last_seq_id FROM conversations WHERE id = ?1";
    // Seqs have no gaps, so the newest N are those above head − N.
    Latest = concat!(
        "SELECT ", columns!(message "m"), ", ", columns!(brief "u"), " FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (n FOR ORDINALITY, id VARCHAR(64) PATH '$')) j \
         STRAIGHT_JOIN conversations c ON c.id = j.id COLLATE utf8mb4_bin \
         STRAIGHT_JOIN messages m ON m.conversation_id = c.id AND m.seq_id > c.last_seq_id - ?2 \
         LEFT JOIN users u ON u.id = m.sender_id \
         ORDER BY j.n, m.seq_id DESC LIMIT ?3"
    );
    Recall = "UPDATE messages m STRAIGHT_JOIN \
              (SELECT MAX(id_copy) AS newest FROM messages WHERE id = ?1 AND conversation_id = ?2) n \
              SET m.deleted = 1, m.content = '', m.extra = NULL, m.pinned = 0, m.reactions = NULL, m.refs = NULL, \
                  m.updated_at = GREATEST(m.updated_at, ?3) \
              WHERE m.id = ?1 AND m.conversation_id = ?2 AND m.deleted = 0 AND m.id_copy = n.newest";
    // The list shows the recalled marker, so incremental sync must report the conversation.
    BumpIfLast = "UPDATE conversations SET updated_at = GREATEST(updated_at, ?3) \
                  WHERE id = ?1 AND last_message_id = ?2";
    Authors = "SELECT DISTINCT sender_id FROM messages \
               WHERE conversation_id = ?1 AND seq_id > ?2 AND seq_id <= ?3 LIMIT ?4";
}

async fn range(conn: &mut Conn, query: &RangeQuery) -> DbResult<MessagePage> {
    let id = query.conversation;
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut low = query.from.unwrap_or(1).max(1);
    let mut high = query.to.unwrap_or(SeqId::MAX);
    if query.types.is_empty() {
        let binds = binds![id, low, high, limit + 1];
        let messages = match query.direction {
            Direction::Ascending => rows::<Upwards, _>(conn, &binds).await?,
            Direction::Descending => rows::<Downwards, _>(conn, &binds).await?,
        };
        return Ok(history::page(messages, limit, None));
    }
    let head: Option<SeqId> = first::<Head, _>(conn, &binds![id]).await?;
    high = high.min(head.unwrap_or(0));
    let cut = history::narrow(&mut low, &mut high, query.direction);
    let binds = binds![id, low, high, limit + 1, json_array(&query.types)];
    let messages = match query.direction {
        Direction::Ascending => rows::<UpwardsOf, _>(conn, &binds).await?,
        Direction::Descending => rows::<DownwardsOf, _>(conn, &binds).await?,
    };
    Ok(history::page(messages, limit, cut))
}

/// An empty text stands for any conversation.
async fn by_id(
    conn: &mut Conn,
    (id, conversation): &(MessageId, String),
) -> DbResult<Option<MessageEntry>> {
    first::<ById, _>(conn, &binds![*id, conversation]).await
}

async fn latest(conn: &mut Conn, (ids, limit): &(String, u32)) -> DbResult<Vec<MessageEntry>> {
    rows::<Latest, _>(conn, &binds![ids, *limit, MAX_MEMBER_PAGE]).await
}

async fn recall(
    conn: &mut Conn,
    &(conversation, id, now): &(ConversationId, MessageId, UnixMillis),
) -> DbResult<RecallOutcome> {
    let newly = execute::<Recall>(conn, &binds![id, conversation, At(now)]).await? > 0;
    if newly {
        reactions::erase(conn, conversation, id).await?;
        execute::<BumpIfLast>(conn, &binds![conversation, id, At(now)]).await?;
    }
    let entry: Option<MessageEntry> = by_id(conn, &(id, conversation.to_string())).await?;
    let message = entry
        .ok_or_else(|| DbError::not_found(ErrorCode::MessageNotFound))?
        .message;
    if newly {
        let erased = [(conversation, message.seq_id)];
        mentions::erase(conn, &erased).await?;
        former::erase(conn, &erased).await?;
    }
    Ok(RecallOutcome { message, newly })
}

async fn authors(
    conn: &mut Conn,
    &(id, after, to, limit): &(ConversationId, SeqId, SeqId, u32),
) -> DbResult<Vec<UserId>> {
    rows::<Authors, _>(conn, &binds![id, after, to, limit]).await
}

#[async_trait]
impl MessageStore for MysqlDatabase {
    async fn save_batch(
        &self,
        messages: Vec<NewMessage>,
        changes: Vec<NewChange>,
        now: UnixMillis,
    ) -> DbResult<Vec<SaveOutcome>> {
        if messages.is_empty() && changes.is_empty() {
            return Ok(Vec::new());
        }
        let of_messages = messages.iter().map(|message| message.conversation_id);
        let of_changes = changes.iter().map(|change| change.conversation_id);
        let ids = of_messages.chain(of_changes);
        let mut keys: Vec<Key> = ids.map(Key::Conversation).collect();
        keys.dedup();
        let rows = messages.len() + changes.len();
        metrics::counter!("gochat_db_written_rows_total").increment(rows as u64);
        // A second run after a lost commit stores nothing twice; it may say `Duplicate` where the
        // first would have said `Stored`, which means the same to those who wait for the rows.
        let args = (messages, changes, now);
        self.write(true, &keys, args, work!(save::store)).await
    }

    async fn message(
        &self,
        id: MessageId,
        conversation: Option<ConversationId>,
    ) -> DbResult<Option<MessageEntry>> {
        let Some(conversation) = conversation else {
            return self.read((id, String::new()), work!(by_id)).await;
        };
        let (key, args) = (
            Key::Conversation(conversation),
            (id, conversation.to_string()),
        );
        self.read_late(key, Around::Nothing, args, work!(by_id))
            .await
    }

    async fn messages(&self, query: RangeQuery) -> DbResult<MessagePage> {
        if query.fresh {
            return self.read(query, work!(range)).await;
        }
        let key = Key::Conversation(query.conversation);
        self.read_late(key, Around::Nothing, query, work!(range))
            .await
    }

    async fn quoted(
        &self,
        conversation: ConversationId,
        replies: &[Reply],
        fresh: bool,
    ) -> DbResult<Vec<QuotedRow>> {
        let most = replies.len().min(MAX_CHANGES_PAGE as usize);
        let args = (conversation, crate::sql::mentions::places(&replies[..most]));
        if fresh {
            return self.read(args, work!(mentions::quoted)).await;
        }
        let key = Key::Conversation(conversation);
        self.read_late(key, Around::Nothing, args, work!(mentions::quoted))
            .await
    }

    async fn former_texts(
        &self,
        conversation: ConversationId,
        seq: SeqId,
    ) -> DbResult<Vec<FormerText>> {
        self.read((conversation, seq), work!(former::of)).await
    }

    async fn changes(&self, query: ChangesQuery) -> DbResult<ChangesPage> {
        if query.fresh {
            return self.read(query, work!(changes::since)).await;
        }
        let key = Key::Conversation(query.conversation);
        self.read_late(key, Around::Nothing, query, work!(changes::since))
            .await
    }

    async fn reactions(&self, query: ReactionsQuery) -> DbResult<ReactionsPage> {
        let key = Key::Conversation(query.conversation);
        self.read_late(key, Around::Nothing, query, work!(reactions::page))
            .await
    }

    async fn own_reactions(
        &self,
        conversation: ConversationId,
        user: UserId,
        messages: &[MessageId],
    ) -> DbResult<Vec<(MessageId, Emoji)>> {
        let most = messages.len().min(MAX_CHANGES_PAGE as usize);
        let ids = crate::sql::reactions::ids(&messages[..most]);
        // What a user did is read from the primary: another process may have stored it.
        self.read((conversation, user, ids), work!(reactions::own))
            .await
    }

    async fn pins(&self, conversation: ConversationId, fresh: bool) -> DbResult<PinsPage> {
        if fresh {
            return self.read(conversation, work!(reactions::pins)).await;
        }
        let key = Key::Conversation(conversation);
        self.read_late(key, Around::Nothing, conversation, work!(reactions::pins))
            .await
    }

    async fn purge_changes(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(true, &[], (before, limit), work!(changes::purge))
            .await
    }

    async fn latest_messages(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MessageEntry>> {
        let args = (json_ids(ids.iter().copied()), limit_each.min(MAX_PAGE));
        self.read(args, work!(latest)).await
    }

    async fn recall(
        &self,
        conversation: ConversationId,
        id: MessageId,
        now: UnixMillis,
    ) -> DbResult<RecallOutcome> {
        let keys = [Key::Conversation(conversation)];
        self.write(false, &keys, (conversation, id, now), work!(recall))
            .await
    }

    async fn authors_between(
        &self,
        conversation: ConversationId,
        after: SeqId,
        to: SeqId,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        let key = Key::Conversation(conversation);
        let args = (conversation, after, to, limit.min(MAX_MEMBER_PAGE));
        self.read_late(key, Around::Nothing, args, work!(authors))
            .await
    }

    async fn advance_pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
        seq: SeqId,
        now: UnixMillis,
    ) -> DbResult<ReadOutcome> {
        // A second run after a lost commit would say that nothing changed, and nobody would be told.
        let args = (user, conversation, seq, now);
        self.write(false, &[], args, work!(pointers::advance)).await
    }

    async fn member_pointers(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> DbResult<Vec<MemberPointer>> {
        let args = (conversation, limit.min(MAX_MEMBER_PAGE));
        self.read(args, work!(pointers::of_members)).await
    }

    async fn pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> DbResult<Option<(SeqId, UnixMillis)>> {
        self.read((user, conversation), work!(pointers::get)).await
    }
}
