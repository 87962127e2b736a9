//! What every RPC works with.

use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UserId};
use gochat_core::message::ChangeKind;
use gochat_proto::common::v1::Forwarded;
use gochat_proto::im::logic::v1::{SendMessageRequest, SendMessageResponse};
use gochat_proto::im::repo::v1::OwedMessage;

use crate::audit::Audit;
use crate::auth::Auth;
use crate::budgets::Budgets;
use crate::config::Limits;
use crate::events::Events;
use crate::facts::Announcer;
use crate::owed::Owed;
use crate::repo::Repo;

/// Puts a message on its way through the log and waits for the ack.
#[async_trait]
pub trait SendMessage: Send + Sync {
    /// Resolves once the message is durable and has its place in the conversation. `forwarded` says
    /// where a message that is passed on comes from, or why it can't be read there: then only a
    /// repeat is acknowledged.
    ///
    /// # Errors
    /// The sequencer's refusals; `TIMEOUT` when the outcome is unknown, and then a repeat with
    /// the same client id is safe.
    async fn send(
        &self,
        request: SendMessageRequest,
        forwarded: Option<Result<Forwarded>>,
        trace_id: &str,
    ) -> Result<SendMessageResponse>;

    /// Writes a system message that is owed. Resolves once it has its place; repeats give no second
    /// one.
    ///
    /// # Errors
    /// As [`send`](Self::send). One that no retry helps with means that it can never be written.
    async fn system(&self, owed: &OwedMessage) -> Result<()>;

    /// Changes a message. Resolves once the change is durable and has its `rev`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    async fn change(&self, wish: ChangeWish, trace_id: &str) -> Result<Changed>;
}

/// A change of a message that somebody wants.
#[derive(Debug, Clone)]
pub struct ChangeWish {
    /// Conversation of the message.
    pub conversation: ConversationId,
    /// Identifier of the message.
    pub target: MessageId,
    /// User that asks for it.
    pub operator: UserId,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Of an edit: what the message says from now on. Of a reaction: its emoji. Of a recall: the
    /// reason, for the log.
    pub content: String,
    /// Of an edit: JSON text; empty when there is none.
    pub extra: String,
    /// Chosen by the client, the same in every resend; empty when it chose none.
    pub client_msg_id: String,
    /// It may have been sent before.
    pub resend: bool,
}

/// Numbers that a change was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Position of the message.
    pub seq: SeqId,
    /// Number of the change.
    pub rev: Rev,
}

/// Shared by all RPC services of one instance.
pub(crate) struct App {
    pub(crate) repo: Repo,
    pub(crate) events: Events,
    pub(crate) auth: Auth,
    pub(crate) audit: Audit,
    pub(crate) budgets: Arc<Budgets>,
    /// Tells sequencers that facts changed; resolves once they have passed the news.
    pub(crate) facts: Announcer,
    pub(crate) sender: Arc<dyn SendMessage>,
    /// Has system messages sent.
    pub(crate) owed: Owed,
    pub(crate) limits: Limits,
}
