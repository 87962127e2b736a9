//! What the services of im-repo share.

use std::future::Future;
use std::sync::Arc;

use gochat_core::error::Result;
use gochat_core::ids::{RequestId, UnixMillis};
use gochat_infra::cached::Cached;
use gochat_infra::ids::{IdSource, now_ms};
use gochat_infra::port::counter::{Counters, Once, RateLimiter};
use gochat_infra::port::db::SharedDatabase;
use gochat_infra::port::presence::PresenceStore;

use crate::args::invalid;
use crate::config::Config;
use crate::conversations::Conversations;
use crate::heads::Heads;
use crate::password::Verifier;
use crate::proofs::Proofs;
use crate::service::Ports;
use crate::users::Users;

/// Ports, readers and settings, behind one `Arc` for all services.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: SharedDatabase,
    pub(crate) users: Arc<Users>,
    pub(crate) conversations: Arc<Conversations>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) presence: Arc<dyn PresenceStore>,
    pub(crate) once: Arc<dyn Once>,
    pub(crate) counters: Arc<dyn Counters>,
    pub(crate) limiter: Arc<dyn RateLimiter>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) passwords: Verifier,
    pub(crate) proofs: Proofs,
}

impl Shared {
    pub(crate) fn new(config: Config, ports: Ports) -> Self {
        let cached = Arc::new(Cached::new(ports.cache));
        let users = Users::new(ports.db.clone(), cached.clone(), config.cache.users());
        let conversations =
            Conversations::new(ports.db.clone(), cached, config.cache.conversations());
        let heads = Heads::new(ports.db.clone(), &config.reads);
        Self {
            heads: Arc::new(heads),
            passwords: Verifier::new(&config.password),
            proofs: Proofs::new(),
            config,
            db: ports.db,
            users: Arc::new(users),
            conversations: Arc::new(conversations),
            presence: ports.presence,
            once: ports.once,
            counters: ports.counters,
            limiter: ports.limiter,
            ids: ports.ids,
        }
    }

    /// Now, as rows are stamped.
    pub(crate) fn now(&self) -> UnixMillis {
        now_ms()
    }

    /// When the last access token of a session that ends now expires: what the caller says, else
    /// what the settings say.
    pub(crate) fn tokens_expire_at(&self, said_ms: i64) -> UnixMillis {
        crate::args::exact_millis(said_ms)
            .unwrap_or_else(|| self.now().saturating_add(self.config.access_token_ms))
    }

    /// A new id for a friend request.
    pub(crate) fn new_request_id(&self) -> Result<RequestId> {
        RequestId::new(self.ids.next_id()?).ok_or_else(|| invalid("The id is out of range."))
    }
}

/// Runs a change of rows and what follows it to the end, even when the caller goes away meanwhile:
/// the database commits without the caller, and the copies must go all the same.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, and this call with it.
        Err(_) => std::future::pending().await,
    }
}

/// Makes copies disappear after a committed change. A cache that is away doesn't fail the
/// change: reads then go to the database, and the deletion is repeated until the cache takes it.
pub(crate) async fn forget(cached: &Cached, keys: &[String]) {
    if let Err(error) = cached.forget(keys).await {
        tracing::warn!(%error, "cache is away; the copy of a changed row is deleted once it is back");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::to_the_end;

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_stop_a_change() {
        let (commit, committed) = oneshot::channel::<()>();
        let (forget, forgotten) = oneshot::channel::<()>();
        let change = to_the_end(async move {
            let _ = committed.await;
            let _ = forget.send(());
        });
        let gone = tokio::time::timeout(Duration::from_millis(10), change).await;
        assert!(gone.is_err(), "the change waits for its commit");
        commit.send(()).unwrap();
        forgotten.await.unwrap();
    }
}
