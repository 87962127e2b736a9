//! What every RPC works with.

use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_proto::im::logic::v1::{SendMessageRequest, SendMessageResponse};

use crate::audit::Audit;
use crate::auth::Auth;
use crate::budgets::Budgets;
use crate::config::Limits;
use crate::events::Events;
use crate::facts::Announcer;
use crate::repo::Repo;

/// Puts a message on its way through the log and waits for the ack.
#[async_trait]
pub trait SendMessage: Send + Sync {
    /// Resolves once the message is durable and has its place in the conversation.
    ///
    /// # Errors
    /// The sequencer's refusals; `TIMEOUT` when the outcome is unknown, and then a repeat with
    /// the same client id is safe.
    async fn send(
        &self,
        request: SendMessageRequest,
        trace_id: &str,
    ) -> Result<SendMessageResponse>;
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
    pub(crate) limits: Limits,
}
