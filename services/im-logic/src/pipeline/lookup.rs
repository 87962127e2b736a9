//! What a batch asks im-repo: few calls, each for many.

mod wire;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::sequence::{ClientKey, WINDOW_MESSAGES, WINDOW_MS};
use gochat_core::step::{Loaded, Need};
use gochat_infra::rpc::{Channel, busy, error_from};
use gochat_proto::common::v1::User;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::repo::v1::online_status_service_client::OnlineStatusServiceClient;
use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;
use gochat_proto::im::repo::v1::{
    GetUsersOnlineStatusRequest, GetUsersRequest, ListOnlineGatewaysRequest,
    LoadConversationFactsRequest, OnlineStatus,
};
use tonic::{Response, Status};

use wire::{loaded, query};

/// Users of one call.
const USERS: usize = 1_000;
/// Conversations of one call. A hot one is answered with up to 10,000 recent messages; im-repo
/// answers as many conversations as there is room for.
const CONVERSATIONS: usize = 128;
/// Calls of one kind at the same time.
const PARALLEL: usize = 4;

/// A need, and the names of the resends in it.
pub(super) struct Question<'a> {
    pub(super) need: Need,
    pub(super) resends: Vec<Resend<'a>>,
}

/// A message that may be a repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resend<'a> {
    pub(super) key: ClientKey,
    pub(super) client_msg_id: &'a str,
    pub(super) is_change: bool,
}

/// What came of asking for facts.
pub(super) struct Answers {
    /// An answer per question; `None` where im-repo refuses it for good, so that its messages alone
    /// are refused, and where none came.
    pub(super) loaded: Vec<Option<Loaded>>,
    /// Why some didn't come.
    pub(super) failure: Option<Error>,
}

/// Clients of im-repo with a deadline. No retries here: the worker has its own way to wait.
#[derive(Clone)]
pub(super) struct Lookup {
    conversations: ConversationServiceClient<Channel>,
    users: UserServiceClient<Channel>,
    presence: OnlineStatusServiceClient<Channel>,
    repo: Channel,
    timeout: Duration,
    /// Conversations asked about by one call; fewer after calls that took too long, so that an
    /// im-repo with little time gets through its answers.
    at_once: Arc<AtomicUsize>,
    /// How long an author may take a message back, in milliseconds, where the conversation doesn't
    /// say less.
    recall_window: u64,
}

impl Lookup {
    pub(super) fn new(repo: &Channel, timeout: Duration, recall_window: u64) -> Self {
        let conversations = ConversationServiceClient::new(repo.clone());
        Self {
            conversations,
            users: UserServiceClient::new(repo.clone()),
            presence: OnlineStatusServiceClient::new(repo.clone()),
            repo: repo.clone(),
            timeout,
            at_once: Arc::new(AtomicUsize::new(CONVERSATIONS)),
            recall_window,
        }
    }

    /// Answers to the needs, in their order.
    pub(super) async fn facts(
        &self,
        needs: &[Question<'_>],
        direct_max: usize,
        now: UnixMillis,
    ) -> Answers {
        let at_once = self.at_once.load(Ordering::Relaxed);
        // After a failure no further call begins: a step must not wait for one deadline after another.
        let has_failed = AtomicBool::new(false);
        let calls = needs.chunks(at_once).map(async |chunk| {
            let (mut loaded, failure) = match has_failed.load(Ordering::Relaxed) {
                true => (Vec::new(), None),
                false => self.facts_of(chunk, direct_max, now).await,
            };
            has_failed.fetch_or(failure.is_some(), Ordering::Relaxed);
            loaded.resize_with(chunk.len(), || None);
            (loaded, failure)
        });
        // Collected first: the stream of a lazy iterator with borrows isn't `Send`.
        let calls: Vec<_> = calls.collect();
        let answers: Vec<_> = stream::iter(calls).buffered(PARALLEL).collect().await;
        let mut all = Answers {
            loaded: Vec::with_capacity(needs.len()),
            failure: None,
        };
        for (loaded, failure) in answers {
            all.loaded.extend(loaded);
            all.failure = all.failure.or(failure);
        }
        self.at_once.store(
            next_at_once(at_once, all.failure.as_ref()),
            Ordering::Relaxed,
        );
        all
    }

    /// One chunk, in as many calls as its answers need room. When a call fails as a whole for a
    /// reason a retry can't mend, its conversations are asked for one by one.
    async fn facts_of(
        &self,
        needs: &[Question<'_>],
        direct_max: usize,
        now: UnixMillis,
    ) -> (Vec<Option<Loaded>>, Option<Error>) {
        let mut answers = Vec::with_capacity(needs.len());
        let mut at_once = needs.len();
        while answers.len() < needs.len() {
            let rest = &needs[answers.len()..];
            let asked = &rest[..at_once.min(rest.len())];
            match self.facts_call(asked, direct_max, now).await {
                Err(error) if !error.is_retryable() && asked.len() > 1 => at_once = 1,
                Err(error) if !error.is_retryable() => {
                    let conversation = asked[0].need.conversation;
                    tracing::error!(%error, %conversation, "facts are refused for good");
                    answers.push(None);
                }
                Err(error) => return (answers, Some(error)),
                Ok(loaded) => answers.extend(loaded.into_iter().map(Some)),
            }
        }
        (answers, None)
    }

    /// Answers to the first needs, to one at least.
    async fn facts_call(
        &self,
        needs: &[Question<'_>],
        direct_max: usize,
        now: UnixMillis,
    ) -> Result<Vec<Loaded>> {
        let request = LoadConversationFactsRequest {
            queries: needs.iter().map(query).collect(),
            max_members: i32::try_from(direct_max).unwrap_or(i32::MAX),
            recent_since: (now.saturating_sub(WINDOW_MS) / 1000) as i64,
            recent_limit: WINDOW_MESSAGES as i32,
        };
        let mut client = self.conversations.clone();
        let answer = self.within(client.load_conversation_facts(request)).await?;
        if answer.facts.is_empty() || answer.facts.len() > needs.len() {
            return Err(Error::new(
                ErrorCode::Internal,
                "im-repo left a question open.",
            ));
        }
        // Numbers of an im-repo of before changes would be given twice.
        if answer.facts.iter().any(|f| f.found && !f.targets_answered) {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "This im-repo is of a version before changes: upgrade it first.",
            ));
        }
        Ok(needs
            .iter()
            .zip(answer.facts)
            .map(|(need, facts)| loaded(need, facts, self.recall_window))
            .collect())
    }

    /// Accounts that exist among `ids`.
    pub(super) async fn users(&self, ids: &[UserId]) -> Result<Vec<User>> {
        all(ids
            .chunks(USERS)
            .map(|chunk| self.users_call(chunk))
            .collect())
        .await
    }

    async fn users_call(&self, ids: &[UserId]) -> Result<Vec<User>> {
        let request = GetUsersRequest {
            user_ids: texts(ids),
        };
        let mut client = self.users.clone();
        Ok(self.within(client.get_users(request)).await?.users)
    }

    /// Status of each of `ids`, in their order.
    pub(super) async fn presence(&self, ids: &[UserId]) -> Result<Vec<OnlineStatus>> {
        all(ids
            .chunks(USERS)
            .map(|chunk| self.presence_call(chunk))
            .collect())
        .await
    }

    async fn presence_call(&self, ids: &[UserId]) -> Result<Vec<OnlineStatus>> {
        let request = GetUsersOnlineStatusRequest {
            user_ids: texts(ids),
        };
        let far = |channel, request| async move {
            let mut client = OnlineStatusServiceClient::new(channel);
            client.get_users_online_status(request).await
        };
        let call = self.repo.call(busy::USERS_ONLINE, request, far);
        let answer = self.within(call).await?;
        match answer.statuses.len() == ids.len() {
            true => Ok(answer.statuses),
            false => Err(Error::new(ErrorCode::Internal, "im-repo left a user out.")),
        }
    }

    /// Gateways that hold sessions.
    pub(super) async fn gateways(&self) -> Result<Vec<String>> {
        let mut client = self.presence.clone();
        let call = client.list_online_gateways(ListOnlineGatewaysRequest {});
        Ok(self.within(call).await?.gateway_ids)
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(error_from(&status)),
            Err(_) => Err(ErrorCode::Timeout.into()),
        }
    }
}

/// How many conversations the next calls ask about: half as many after one that took too long.
fn next_at_once(now: usize, failure: Option<&Error>) -> usize {
    match failure.map(|error| error.code) {
        Some(ErrorCode::Timeout) => (now / 2).max(1),
        Some(_) => now,
        None => (2 * now).min(CONVERSATIONS),
    }
}

/// Runs the calls, a few at a time, and joins their answers in order.
async fn all<T, F: Future<Output = Result<Vec<T>>>>(calls: Vec<F>) -> Result<Vec<T>> {
    let answers: Vec<Vec<T>> = stream::iter(calls).buffered(PARALLEL).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

fn texts(ids: &[UserId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_asked_for_at_once_while_answers_take_too_long() {
        let timeout = Error::from(ErrorCode::Timeout);
        let mut at_once = CONVERSATIONS;
        for expected in [64, 32, 16, 8, 4, 2, 1, 1] {
            at_once = next_at_once(at_once, Some(&timeout));
            assert_eq!(at_once, expected);
        }
        let away = Error::from(ErrorCode::ServiceUnavailable);
        assert_eq!(next_at_once(2, Some(&away)), 2);
        assert_eq!(next_at_once(2, None), 4);
        assert_eq!(next_at_once(CONVERSATIONS, None), CONVERSATIONS);
    }
}
