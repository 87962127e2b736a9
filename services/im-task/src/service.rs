//! Putting the parts together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::error::{Error, Result};
use gochat_infra::port::mq::{Mq, MqResult};
use gochat_infra::rpc::{Backoff, Channel};
use gochat_infra::topics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::away::Away;
use crate::cleanup::{Cleanup, Coord};
use crate::config::Config;
use crate::delivery::Delivery;
use crate::demand::{Demand, OneRepo, Repos};
use crate::events::Events;
use crate::fanout::Fanout;
use crate::persist::Persist;
use crate::push::{Pusher, Pushers};
use crate::repo::Repo;
use crate::signals::Signals;
use crate::worker::{Handler, Plan, Worker};

/// A refused record is tried again after at most this many times the longest ordinary pause: a
/// minute by default.
const REFUSED_FACTOR: u32 = 12;

/// What im-task needs from the world. The topics of [`gochat_infra::topics::specs`] exist.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub mq: Arc<dyn Mq>,
    /// im-repo.
    pub repo: Channel,
    /// The instances of im-repo; `None` when `repo` is the only one.
    pub repos: Option<Arc<dyn Repos>>,
    /// The gateways.
    pub pushers: Arc<dyn Pushers>,
    /// Who lives, for the clean-up of topics; `None` in a single process, which keeps its topics.
    pub coord: Option<Coord>,
}

/// im-task.
pub struct Service {
    tasks: JoinSet<MqResult<()>>,
    shutdown: CancellationToken,
    stalled: Arc<AtomicUsize>,
    away: Arc<Away>,
}

impl Service {
    /// Joins the consumer groups and starts the workers. Dropping the service stops them where they are.
    ///
    /// # Errors
    /// When a topic is missing or the log is away.
    pub async fn bind(config: Config, ports: Ports) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let repo = Repo::new(ports.repo.clone(), config.call_timeout());
        let mut service = Self {
            tasks: JoinSet::new(),
            shutdown,
            stalled: Arc::default(),
            away: Arc::new(Away::new(repo, ports.mq.producer())),
        };
        service.join(&config, &ports).await.map_err(Error::from)?;
        Ok(service)
    }

    async fn join(&mut self, config: &Config, ports: &Ports) -> MqResult<()> {
        let repo = Repo::new(ports.repo.clone(), config.call_timeout());
        let delivery = Delivery::new(ports.mq.clone());
        let demand = self.follow_demand(config, ports);
        for n in 0..config.persist.workers {
            let handler = Persist::new(
                repo.clone(),
                delivery.clone(),
                config.persist.recheck_backlog,
            );
            let mut plan = plan(config, topics::TASK_PERSIST_GROUP, vec![topics::PERSIST], n);
            plan.max = config.persist.batch.clamp(1, 1_000);
            plan.linger = Duration::from_millis(config.persist.linger_ms);
            plan.pace = Duration::from_millis(config.persist.pace_ms);
            plan.demand = Some(demand.listen());
            self.spawn(ports, plan, handler).await?;
        }
        for n in 0..config.fanout.workers {
            let handler = Fanout::new(repo.clone(), delivery.clone(), config.fanout.clone());
            let mut plan = plan(config, topics::TASK_FANOUT_GROUP, vec![topics::FANOUT], n);
            plan.max = config.fanout.tasks.max(1);
            self.spawn(ports, plan, handler).await?;
        }
        for n in 0..config.events.workers {
            let pusher = Pusher::new(repo.clone(), ports.pushers.clone(), config.call_timeout());
            let signals = Signals::new(repo.clone(), pusher, delivery.clone(), ports.mq.producer());
            let away = self.away.clone();
            let handler = Events::new(repo.clone(), signals, away, config.events.clone());
            let mut plan = plan(
                config,
                topics::TASK_EVENTS_GROUP,
                topics::EVENT_TOPICS.to_vec(),
                n,
            );
            plan.max = config.events.batch.max(1);
            self.spawn(ports, plan, handler).await?;
        }
        let cleanup = Cleanup::new(repo, self.away.clone(), ports, config.cleanup.clone());
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            cleanup.run(shutdown).await;
            Ok(())
        });
        Ok(())
    }

    /// Asks im-repo for waiting readers until the shutdown.
    fn follow_demand(&mut self, config: &Config, ports: &Ports) -> Demand {
        let demand = Demand::default();
        if config.persist.workers == 0 || config.persist.pace_ms == 0 {
            return demand;
        }
        let repos = ports.repos.clone();
        let repos = repos.unwrap_or_else(|| Arc::new(OneRepo(ports.repo.clone())));
        let following = demand.clone().follow(repos, config.call_timeout());
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            shutdown.run_until_cancelled(following).await;
            Ok(())
        });
        demand
    }

    async fn spawn(
        &mut self,
        ports: &Ports,
        plan: Plan,
        handler: impl Handler + 'static,
    ) -> MqResult<()> {
        let worker = Worker::join(ports.mq.clone(), plan, handler, self.stalled.clone()).await?;
        self.tasks.spawn(worker.run(self.shutdown.clone()));
        Ok(())
    }

    /// A check of readiness that outlives [`run`](Self::run): false while a worker can't go on because something it
    /// depends on is away. Liveness never depends on it.
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let stalled = self.stalled.clone();
        move || stalled.load(Ordering::Relaxed) == 0
    }

    /// Waits for `shutdown`, then for the workers to finish what they have in hand and leave their groups.
    ///
    /// # Errors
    /// When the log is lost for good; the other workers are stopped too.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            tokio::select! {
                () = shutdown.cancelled(), if !self.shutdown.is_cancelled() => self.shutdown.cancel(),
                ended = self.tasks.join_next() => match ended {
                    None => break,
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => {
                        tracing::error!(%error, "a worker lost the log");
                        outcome = outcome.and(Err(error.into()));
                        self.shutdown.cancel();
                    }
                    Some(Err(error)) => {
                        tracing::error!(%error, "a worker ended unexpectedly");
                        outcome = outcome.and(Err(gochat_core::error::ErrorCode::Internal.into()));
                        self.shutdown.cancel();
                    }
                },
            }
        }
        self.away.hand_over().await;
        outcome
    }
}

fn plan(config: &Config, group: &'static str, topics: Vec<&'static str>, n: usize) -> Plan {
    let first = Duration::from_millis(config.retry_first_ms.max(1));
    let longest = Duration::from_millis(config.retry_max_ms).max(first);
    Plan {
        group,
        topics,
        transactional: format!("{group}-{}-{n}", config.instance_id),
        max: 1,
        linger: Duration::ZERO,
        pace: Duration::ZERO,
        demand: None,
        backoff: Backoff::new(first, longest),
        refused_backoff: Backoff::new(first, longest * REFUSED_FACTOR),
    }
}
