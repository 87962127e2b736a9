//! What the driver asks the server by HTTP, each in a task of its own.

use gochat_core::error::{Error as Refusal, ErrorCode};
use gochat_core::ids::{ConversationId, Rev, SeqId};
use gochat_core::sync::{
    AuthFailure, ChangesPage, ConnectFailure, HistoryPage, Listed, ListedConversation,
};

use super::{Driver, Fetched, Report};
use crate::api::{Api, ConversationPage, ConversationQuery, Reaching};
use crate::driver::socket;
use crate::{Error, Message};

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
                Err(error) => Report::AuthFailed(auth_failure(error)),
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
                Err(error) => Report::RenewFailed(auth_failure(error)),
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
                Err(failure) => Report::ConnectFailed(failure),
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
) -> Result<socket::Socket, ConnectFailure> {
    let token = api
        .tokens
        .access()
        .await
        .map_err(|_| ConnectFailure::Unavailable)?;
    let opening = socket::open(&api.http.endpoint, &token, device, id, report_to);
    let answer = tokio::time::timeout(api.http.timeout, opening).await;
    match answer {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(socket::OpenError::Status(401))) => Err(ConnectFailure::Unauthorized),
        Ok(Err(socket::OpenError::Status(429))) => Err(ConnectFailure::TooMany),
        Ok(Err(error)) => {
            tracing::debug!(%error, "connecting failed");
            Err(ConnectFailure::Unavailable)
        }
        Err(_) => Err(ConnectFailure::Unavailable),
    }
}

fn auth_failure(error: Error) -> AuthFailure {
    match error.refusal() {
        Some(refusal) if !refusal.is_retryable() => AuthFailure::Refused(refusal.clone()),
        None if !error.is_retryable() => {
            AuthFailure::Refused(Refusal::new(ErrorCode::AuthFailed, error.to_string()))
        }
        _ => AuthFailure::Unavailable,
    }
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
