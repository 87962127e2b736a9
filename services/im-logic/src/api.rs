//! The gRPC half of the service, put together.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ids::UnixMillis;
use gochat_infra::port::mq::Mq;
use gochat_infra::rpc::Channel;
use gochat_infra::token::KnownTokens;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::app::{App, SendMessage};
use crate::audit::Audit;
use crate::auth::{Auth, Hasher, Keys, Tokens};
use crate::budgets::Budgets;
use crate::config::Config;
use crate::events::Events;
use crate::facts::Announcer;
use crate::owed::Outbox;
use crate::proofs::Proofs;
use crate::repo::Repo;
use crate::rpc;

/// What the service needs from the world.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub mq: Arc<dyn Mq>,
    /// im-repo.
    pub repo: Channel,
    /// See [`ServicePorts::signed`](crate::ServicePorts::signed).
    pub signed: Option<KnownTokens>,
}

/// All gRPC services of im-logic. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
    /// Taken by whoever runs it.
    outbox: Arc<Mutex<Option<Outbox>>>,
}

impl Api {
    /// Builds the services; `sender` puts messages on their way.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a configuration that can't work.
    pub fn new(config: &Config, ports: &Ports, sender: Arc<dyn SendMessage>) -> Result<Self> {
        Self::with_clock(config, ports, sender, Arc::new(crate::clock::now_ms))
    }

    /// Builds the services with another clock for sessions and tokens: Unix time in milliseconds.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a configuration that can't work.
    pub fn with_clock(
        config: &Config,
        ports: &Ports,
        sender: Arc<dyn SendMessage>,
        clock: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    ) -> Result<Self> {
        config.check()?;
        let repo = Repo::new(&ports.repo, &config.repo);
        let audit = Audit::start(repo.clone());
        let events = Events::new(ports.mq.producer(), audit.clone());
        let hasher = Hasher::new(&config.passwords)?;
        let keys = Keys::new(repo.clone(), &config.auth)?;
        let tokens = Tokens::new(keys, &config.auth, ports.signed.clone());
        let budgets = Arc::new(Budgets::new(
            repo.clone(),
            config.budgets.clone(),
            config.admission.clone(),
        ));
        let bits = config.admission.guest_proof_bits;
        let proofs = Proofs::new(repo.clone(), &config.auth.secret, bits);
        let auth = Auth::new(
            repo.clone(),
            events.clone(),
            tokens,
            hasher,
            budgets.clone(),
            proofs,
        )
        .with_cap(config.auth.sessions_per_user)
        .with_clock(clock);
        let facts = Announcer::new(Arc::clone(&ports.mq), config.limits.facts_timeout());
        let sweep = Duration::from_millis(config.limits.system_sweep_ms);
        let (owed, outbox) = Outbox::new(repo.clone(), facts.clone(), sender.clone(), sweep);
        let app = App {
            audit,
            auth,
            budgets,
            facts,
            repo,
            events,
            sender,
            owed,
            limits: config.limits.clone(),
        };
        Ok(Self {
            app: Arc::new(app),
            outbox: Arc::new(Mutex::new(Some(outbox))),
        })
    }

    /// Sends system messages of groups until `shutdown`. One call of an instance does it; further
    /// ones return at once.
    pub async fn send_owed(&self, shutdown: CancellationToken) {
        let outbox = self.outbox.lock().take();
        if let Some(outbox) = outbox {
            outbox.run(shutdown).await;
        }
    }

    /// The services, to be called in process or served over HTTP/2.
    pub fn routes(&self) -> Routes {
        rpc::routes(&self.app)
    }

    /// `AdminService`, for operators only.
    pub fn admin_routes(&self) -> Routes {
        rpc::admin_routes(&self.app)
    }

    /// Both together.
    pub fn routes_with_admin(&self) -> Routes {
        rpc::routes_with_admin(&self.app)
    }

    /// Waits, within a bound, until audit records that are queued were written.
    pub async fn flush(&self) {
        self.app.audit.flush().await;
    }
}
