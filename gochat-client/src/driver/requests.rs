//! What the driver asks the server by HTTP, each in a task of its own.

use gochat_core::error::{Error as Refusal, ErrorCode};
use gochat_core::ids::{ConversationId, Rev, SeqId};
use gochat_core::sync::{
    AuthFailure, ChangesPage, ConnectFailure, HistoryPage, Listed, ListedConversation,
};

use super::{Driver, Fetched, Report};
use crate::api::{Api, ConversationPage, ConversationQuery, Reaching};
use crate::driver::socket;
use crate::{Error, Message, Result};

/// Conversations per page of a listing.
const LIST_SIZE: u32 = 100;

impl Driver {
    /// Runs `work` beside the driver; its report is lost only when the driver is gone.
    fn spawn(&self, work: impl Future<Output = Report> + Send + 'static) {
        let report_to = self.report_to.clone();
        tokio::spawn(async move {
            let _ = report_to.send(work.await).await;
        });
    }

    pub(super) fn authenticate(&self, renew: bool) {
        let tokens = self.api.tokens.clone();
        self.spawn(async move {
            let outcome = async {
                let token = tokens.access().await?;
                if renew {
                    tokens.renew(&token).await?;
                }
                tokens.user_id().await
            };
            match outcome.await {
                Ok(user) => Report::Authenticated {
                    user,
                    life: tokens.life_ms().await,
                },
                Err(error) => Report::AuthFailed(error),
            }
        });
    }

    /// Gets a newer token for the connection that is open.
    pub(super) fn renew(&self) {
        let tokens = self.api.tokens.clone();
        self.spawn(async move {
            let outcome = async {
                let token = tokens.access().await?;
                tokens.renew(&token).await
            };
            match outcome.await {
                Ok(token) => Report::Renewed {
                    token,
                    life: tokens.life_ms().await,
                },
                Err(error) => Report::RenewFailed(auth_failure(&error)),
            }
        });
    }

    pub(super) fn connect(&mut self) {
        self.sockets += 1;
        let (api, device, id) = (self.api.clone(), self.device.clone(), self.sockets);
        let report_to = self.report_to.clone();
        self.spawn(async move {
            match open(&api, &device, id, report_to).await {
                Ok(socket) => Report::Connected(Box::new(socket)),
                Err(error) => Report::ConnectFailed(error),
            }
        });
    }

    pub(super) fn list(&self, ticket: u64, cursor: Option<String>, last_sync: Option<i64>) {
        let api = self.api.clone();
        self.spawn(async move {
            let query = ConversationQuery {
                cursor: cursor.as_deref(),
                last_sync,
                size: LIST_SIZE,
                at_least: &[],
            };
            let answer = api.list_conversations(&query).await;
            if let Err(error) = &answer {
                tracing::debug!(%error, "listing conversations failed");
            }
            Report::Listed {
                ticket,
                listed: answer.ok().map(listed),
            }
        });
    }

    pub(super) fn fetch(
        &self,
        conversation: ConversationId,
        after_seq: SeqId,
        limit: u32,
        reaching: Reaching,
    ) {
        let api = self.api.clone();
        self.spawn(async move {
            let page = api.history_reaching(conversation, after_seq, limit, reaching);
            let page = page.await.map(|page| {
                let messages = page.messages.into_iter().map(Message::from).collect();
                let behind = page.behind;
                Fetched::History(after_seq, HistoryPage { messages, behind })
            });
            Report::Fetched {
                conversation,
                page: page.unwrap_or_else(|error| failed(&error)),
            }
        });
    }

    pub(super) fn fetch_changes(
        &self,
        conversation: ConversationId,
        after_rev: Rev,
        limit: u32,
        at_least: Rev,
    ) {
        let api = self.api.clone();
        self.spawn(async move {
            let page = api.changes_reaching(conversation, after_rev, limit, at_least);
            let page = page.await.map(|page| {
                let changes = ChangesPage {
                    messages: page.messages.into_iter().map(Message::from).collect(),
                    complete_to: page.complete_to,
                    head_rev: page.head_rev,
                    has_more: page.has_more,
                };
                Fetched::Changes(after_rev, changes)
            });
            Report::Fetched {
                conversation,
                page: page.unwrap_or_else(|error| failed(&error)),
            }
        });
    }
}

fn failed(error: &Error) -> Fetched {
    tracing::debug!(%error, "fetching messages failed");
    Fetched::Failed {
        gone: is_gone(error),
    }
}

async fn open(
    api: &Api,
    device: &str,
    id: u64,
    report_to: tokio::sync::mpsc::Sender<Report>,
) -> Result<socket::Socket> {
    let token = api.tokens.access().await?;
    socket::open(&api.http, &token, device, id, report_to).await
}

/// What the session is to make of a connection that failed.
pub(super) fn connect_failure(error: &Error) -> ConnectFailure {
    match error.refusal().map(|refusal| refusal.code) {
        Some(ErrorCode::Unauthorized) => ConnectFailure::Unauthorized,
        Some(ErrorCode::RateLimited) => ConnectFailure::TooMany,
        _ => ConnectFailure::Unavailable,
    }
}

/// What the session is to make of tokens that it doesn't get.
pub(super) fn auth_failure(error: &Error) -> AuthFailure {
    if !error.is_final() {
        return AuthFailure::Unavailable;
    }
    let refusal = error.refusal().cloned();
    AuthFailure::Refused(
        refusal.unwrap_or_else(|| Refusal::new(ErrorCode::AuthFailed, error.to_string())),
    )
}

/// Whether the conversation can't be read by this user (any more).
fn is_gone(error: &Error) -> bool {
    error.refusal().is_some_and(|r| {
        matches!(
            r.code,
            ErrorCode::NotConversationMember
                | ErrorCode::ConversationNotFound
                | ErrorCode::ConversationDissolved
        )
    })
}

fn listed(page: ConversationPage) -> Listed {
    let conversations = page.conversations.iter().map(|c| {
        let newest = c.last_message.as_ref();
        let newest_seq = newest.map_or(0, |m| m.seq_id);
        ListedConversation {
            id: c.id,
            last_seq: c.last_seq_id.max(newest_seq),
            last_recalled: newest.is_some_and(|m| m.deleted) && newest_seq >= c.last_seq_id,
            last_rev: c.last_rev,
            cleared_up_to: c.my.as_ref().map_or(0, |my| my.cleared_up_to),
        }
    });
    Listed {
        conversations: conversations.collect(),
        removed: page.removed_ids,
        next_cursor: page.next_cursor.filter(|_| page.has_more),
    }
}
