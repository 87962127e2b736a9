//! History, sending without a socket, reading, recalling.

use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UserId};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, ChangesPage, Message, NO_BODY, Nothing};
use crate::{Outgoing, Result};

/// One page of history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryPage {
    /// What the page holds.
    pub messages: Vec<Message>,
    /// Where the next page starts; 0 when nothing is left.
    pub next_cursor: SeqId,
    /// Whether another page follows.
    pub has_more: bool,
    /// `cursor` of the messages before the page, 0 when there are none; in pages around a number
    /// only.
    pub prev_cursor: SeqId,
    /// The newest message the server knows of.
    pub head_seq_id: SeqId,
    /// Messages up to `head_seq_id` are on their way and may be missing here.
    pub behind: bool,
}

/// What a page of history must show; 0 asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaching {
    /// The message of this number.
    pub seq: SeqId,
    /// Messages as they were at this `rev` or later.
    pub rev: Rev,
}

/// Readers of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReadBy {
    /// Number of readers.
    pub count: u32,
    /// In the order in which they read last.
    pub users: Vec<Reader>,
}

/// A member who has read a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reader {
    /// The member.
    pub user_id: UserId,
    /// Unix seconds at which the member's read pointer last moved; of an announcement, at which it
    /// was read.
    #[serde(default)]
    pub read_at: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    unread_count: i64,
}

impl Api {
    /// History, newest first, before `cursor` (none: from the newest on); at most 100.
    pub async fn history(
        &self,
        id: ConversationId,
        cursor: Option<SeqId>,
        limit: u32,
    ) -> Result<HistoryPage> {
        let cursor = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
        self.get(&format!(
            "/conversations/{id}/messages?limit={limit}{cursor}"
        ))
        .await
    }

    /// History, oldest first, after `after_seq`; at most 100.
    pub async fn history_after(
        &self,
        id: ConversationId,
        after_seq: SeqId,
        limit: u32,
    ) -> Result<HistoryPage> {
        self.get(&format!(
            "/conversations/{id}/messages?after_seq={after_seq}&limit={limit}"
        ))
        .await
    }

    /// History, oldest first, after `after_seq`, that shows what the caller knows of or says that
    /// it is behind; at most 100.
    pub async fn history_reaching(
        &self,
        id: ConversationId,
        after_seq: SeqId,
        limit: u32,
        reaching: Reaching,
    ) -> Result<HistoryPage> {
        let (seq, rev) = (reaching.seq, reaching.rev);
        let path = format!(
            "/conversations/{id}/messages?after_seq={after_seq}&limit={limit}&at_least={seq}"
        );
        // Servers without changes don't know the parameter.
        self.get(&match rev {
            0 => path,
            _ => format!("{path}&at_least_rev={rev}"),
        })
        .await
    }

    /// History around a number, oldest first, about half of the page on either side; at most 100.
    /// Go on with [`history`](Self::history) before `prev_cursor` and with
    /// [`history_after`](Self::history_after) `next_cursor`.
    pub async fn history_around(
        &self,
        id: ConversationId,
        seq: SeqId,
        limit: u32,
    ) -> Result<HistoryPage> {
        self.get(&format!(
            "/conversations/{id}/messages?around_seq={seq}&limit={limit}"
        ))
        .await
    }

    /// Lists the readers of a message, without its author. For single chats and groups of up to
    /// 200 members.
    pub async fn read_by(&self, id: ConversationId, seq: SeqId) -> Result<ReadBy> {
        self.get(&format!("/conversations/{id}/read-by?seq={seq}"))
            .await
    }

    /// Sends a message by HTTP. Trying again with the same client id is safe and gives the same message; set `resend` then.
    ///
    /// ```no_run
    /// # use gochat_client::{Client, Message, Result, api::Api};
    /// # async fn run(api: Api, question: Message) -> Result<()> {
    /// let answer = Client::text(question.conversation_id, "yes").reply_to(question.id);
    /// let answer = api.send(&answer).await?;
    /// println!("in answer to {:?}", answer.reply_to.and_then(|quote| quote.excerpt));
    /// # Ok(()) }
    /// ```
    pub async fn send(&self, message: &Outgoing) -> Result<Message> {
        let path = format!("/conversations/{}/messages", message.conversation_id);
        let mut body = json!({
            "messageType": message.message_type,
            "content": message.content,
            "client_msg_id": message.client_msg_id,
        });
        if let Some(extra) = &message.extra {
            body["extra"] = json!(extra);
        }
        if message.resend {
            body["resend"] = json!(true);
        }
        let refers = &message.refers;
        if let Some(answered) = refers.reply_to {
            body["replyTo"] = json!(answered);
        }
        if !refers.mentions.is_empty() {
            body["mentions"] = json!(refers.mentions);
        }
        if refers.mention_all {
            body["mentionAll"] = json!(true);
        }
        self.call(Method::POST, &path, Some(&body)).await
    }

    /// Passes a message on that the user may read: with its type, content and extra, and the name
    /// of its first author. Trying again with the same client id is safe and gives the same
    /// message. A recalled one is refused with `MESSAGE_RECALLED`.
    ///
    /// ```no_run
    /// # use gochat_client::{Message, Result, WORLD, api::Api};
    /// # async fn run(api: Api, news: Message) -> Result<()> {
    /// let id = format!("forward-{}", news.id);
    /// let forwarded = api.forward(WORLD, news.conversation_id, news.id, &id).await?;
    /// println!("from {}", forwarded.forwarded_from.unwrap().sender_name);
    /// # Ok(()) }
    /// ```
    pub async fn forward(
        &self,
        to: ConversationId,
        from: ConversationId,
        message: MessageId,
        client_msg_id: &str,
    ) -> Result<Message> {
        let path = format!("/conversations/{to}/messages");
        let body = json!({
            "forwardedFrom": { "conversationId": from, "messageId": message },
            "client_msg_id": client_msg_id,
            // However late the caller tries again.
            "resend": true,
        });
        self.call(Method::POST, &path, Some(&body)).await
    }

    /// Replaces what the user's own message says: within two days. Gives the message as it is now.
    /// Trying again with the same client id is safe.
    pub async fn edit(
        &self,
        id: ConversationId,
        message: MessageId,
        content: &str,
        client_msg_id: &str,
    ) -> Result<Message> {
        let path = format!("/conversations/{id}/messages/{message}");
        let body = json!({ "content": content, "client_msg_id": client_msg_id });
        self.call(Method::PUT, &path, Some(&body)).await
    }

    /// Messages that are new or changed since a `rev`, each once, as they are now; at most 200. Go
    /// on after `complete_to`.
    pub async fn changes(
        &self,
        id: ConversationId,
        after_rev: Rev,
        limit: u32,
    ) -> Result<ChangesPage> {
        self.get(&format!(
            "/conversations/{id}/changes?after_rev={after_rev}&limit={limit}"
        ))
        .await
    }

    /// The same for a caller that knows of the number `at_least`: the page waits for it for a
    /// moment, or says that it is behind.
    pub async fn changes_reaching(
        &self,
        id: ConversationId,
        after_rev: Rev,
        limit: u32,
        at_least: Rev,
    ) -> Result<ChangesPage> {
        self.get(&format!(
            "/conversations/{id}/changes?after_rev={after_rev}&limit={limit}&at_least={at_least}"
        ))
        .await
    }

    /// Takes a message back: within two minutes, or any time as an admin.
    pub async fn recall(&self, id: ConversationId, message: MessageId) -> Result<()> {
        let path = format!("/conversations/{id}/messages/{message}");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Says how far the user has read; gives the number of unread messages left.
    pub async fn mark_read(&self, id: ConversationId, seq: SeqId) -> Result<i64> {
        let body = json!({ "seqId": seq });
        let path = format!("/conversations/{id}/read");
        let read: Read = self.call(Method::PUT, &path, Some(&body)).await?;
        Ok(read.unread_count)
    }
}
