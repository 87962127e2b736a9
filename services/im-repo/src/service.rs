//! Putting the services together.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Result;
use gochat_infra::ids::{IdSource, now_ms};
use gochat_infra::port::cache::Cache;
use gochat_infra::port::counter::{Counters, Once, RateLimiter};
use gochat_infra::port::db::SharedDatabase;
use gochat_infra::port::presence::PresenceStore;
use gochat_infra::rpc::{Local, busy};
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, GetUsersOnlineStatusRequest, ListArrivalsRequest,
    audit_service_server::AuditServiceServer,
    conversation_service_server::ConversationServiceServer,
    friend_service_server::FriendServiceServer, group_service_server::GroupServiceServer,
    idempotency_service_server::IdempotencyServiceServer, key_service_server::KeyServiceServer,
    message_service_server::MessageServiceServer,
    online_status_service_server::OnlineStatusServiceServer,
    rate_limit_service_server::RateLimitServiceServer,
    sequence_service_server::SequenceServiceServer, session_service_server::SessionServiceServer,
    user_service_server::UserServiceServer,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Config;
use crate::rpc::{answer, failed};
use crate::services::audit::AuditApi;
use crate::services::conversation::ConversationApi;
use crate::services::friend::FriendApi;
use crate::services::group::GroupApi;
use crate::services::key::KeyApi;
use crate::services::message::MessageApi;
use crate::services::online::OnlineApi;
use crate::services::rate_limit::{PLACE_LIFE_MS, RateLimitApi};
use crate::services::sequence::{IdempotencyApi, SequenceApi};
use crate::services::session::SessionApi;
use crate::services::user::UserApi;
use crate::shared::Shared;

/// Names completed in one transaction.
const NAMES_BATCH: u32 = 200;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Milliseconds for which changes of messages are remembered: 30 days. A resend that comes later is
/// not recognised.
const CHANGES_LIFE_MS: u64 = 30 * DAY_MS;
/// Rows changed per statement of a clean-up.
const PURGE_BATCH: u32 = 1_000;

/// What im-repo needs from the world.
#[derive(Clone)]
pub struct Ports {
    /// Everything that must last.
    pub db: SharedDatabase,
    /// Copies of rows.
    pub cache: Arc<dyn Cache>,
    /// Who is connected.
    pub presence: Arc<dyn PresenceStore>,
    /// Claims of IdempotencyService.
    pub once: Arc<dyn Once>,
    /// Counters of SequenceService.
    pub counters: Arc<dyn Counters>,
    /// Buckets of RateLimitService.
    pub limiter: Arc<dyn RateLimiter>,
    /// Ids for rows whose caller brings none.
    pub ids: Arc<dyn IdSource>,
}

/// im-repo: the only door to the database and the cache. Cheap to clone.
///
/// Its callers are services, not users: whoever reaches it is trusted, and who may do what
/// was decided before. Keep it on a network that users can't reach.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    /// Takes the ports and, unless switched off, applies waiting schema migrations.
    ///
    /// # Errors
    /// Those of the migrations.
    pub async fn bind(config: Config, ports: Ports) -> Result<Self> {
        if config.migrate {
            for applied in ports.db.migrate_up(now_ms()).await.map_err(failed)? {
                tracing::info!(
                    number = applied.number,
                    name = applied.name,
                    "migration applied"
                );
            }
        }
        Ok(Self {
            shared: Arc::new(Shared::new(config, ports)),
        })
    }

    /// All services of `im.repo.v1`. Health and reflection are added by whoever serves them.
    pub fn routes(&self) -> Routes {
        let limit = self.shared.config.max_request_bytes;
        macro_rules! server {
            ($server:ident, $api:ident) => {
                $server::new($api::new(self.shared.clone())).max_decoding_message_size(limit)
            };
        }
        Routes::new(server!(UserServiceServer, UserApi))
            .add_service(server!(ConversationServiceServer, ConversationApi))
            .add_service(server!(MessageServiceServer, MessageApi))
            .add_service(server!(OnlineStatusServiceServer, OnlineApi))
            .add_service(server!(FriendServiceServer, FriendApi))
            .add_service(server!(GroupServiceServer, GroupApi))
            .add_service(server!(SequenceServiceServer, SequenceApi))
            .add_service(server!(IdempotencyServiceServer, IdempotencyApi))
            .add_service(server!(RateLimitServiceServer, RateLimitApi))
            .add_service(server!(SessionServiceServer, SessionApi))
            .add_service(server!(KeyServiceServer, KeyApi))
            .add_service(server!(AuditServiceServer, AuditApi))
    }

    /// The busy methods, for callers in the same process.
    pub fn local(&self) -> Local {
        let messages = MessageApi::new(self.shared.clone());
        let (online, arrivals) = (
            OnlineApi::new(self.shared.clone()),
            OnlineApi::new(self.shared.clone()),
        );
        Local::default()
            .method(
                busy::SAVE_MESSAGES,
                move |request: BatchSaveMessagesRequest| {
                    let api = messages.clone();
                    async move { answer(api.batch_save_messages(request)).await }
                },
            )
            .method(busy::LIST_ARRIVALS, move |request: ListArrivalsRequest| {
                let api = arrivals.clone();
                async move { answer(api.list_arrivals(request)).await }
            })
            .method(
                busy::USERS_ONLINE,
                move |request: GetUsersOnlineStatusRequest| {
                    let api = online.clone();
                    async move { answer(api.get_users_online_status(request)).await }
                },
            )
    }

    /// Whether the database answers: for readiness, never for liveness.
    pub async fn is_ready(&self) -> bool {
        self.shared.db.ping().await.is_ok()
    }

    /// Completes names of older rows, removes expired sessions, forgets old changes of messages and
    /// frees names of deleted accounts now and then, until `shutdown`. Expired sessions are never
    /// believed; this only keeps the tables small.
    pub async fn run(&self, shutdown: CancellationToken) {
        let pause = Duration::from_millis(self.shared.config.purge_interval_ms.max(1));
        loop {
            // At the start, and again because an older instance may write beside this one.
            self.complete_names(&shutdown).await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            self.clean_up(&shutdown).await;
            self.purge_places().await;
            self.purge_changes(&shutdown).await;
        }
    }

    /// One batch of known places a time: they are few, and old ones do no harm.
    async fn purge_places(&self) {
        let before = now_ms().saturating_sub(PLACE_LIFE_MS);
        if let Err(error) = self.shared.db.purge_places(before, PURGE_BATCH).await {
            tracing::warn!(%error, "known places that ran out stay for now");
        }
    }

    async fn purge_changes(&self, shutdown: &CancellationToken) {
        let before = now_ms().saturating_sub(CHANGES_LIFE_MS);
        while !shutdown.is_cancelled() {
            match self.shared.db.purge_changes(before, PURGE_BATCH).await {
                Ok(deleted) if deleted >= u64::from(PURGE_BATCH) => {
                    tokio::task::yield_now().await;
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "changes that ran out stay for now");
                    return;
                }
            }
        }
    }

    /// Gives rows that an older program wrote their skeletons, in small transactions.
    async fn complete_names(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.shared.db.complete_names(NAMES_BATCH).await {
                Ok(0) => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => {
                    tracing::warn!(%error, "names of older rows are completed later");
                    return;
                }
            }
        }
    }

    async fn clean_up(&self, shutdown: &CancellationToken) {
        let db = &self.shared.db;
        let hold = self.shared.config.name_hold_days.saturating_mul(DAY_MS);
        while !shutdown.is_cancelled() {
            let now = now_ms();
            let sessions = db.purge_sessions(now, PURGE_BATCH).await;
            let names = db
                .release_names(now.saturating_sub(hold), PURGE_BATCH)
                .await;
            match (sessions, names) {
                (Ok(a), Ok(b)) if a.max(b) >= u64::from(PURGE_BATCH) => {
                    tokio::task::yield_now().await;
                }
                (Ok(_), Ok(_)) => return,
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, "expired sessions and held names stay for now");
                    return;
                }
            }
        }
    }
}
