//! Putting the workers together.

use std::sync::Arc;

use gochat_core::error::Result;
use gochat_infra::port::mq::{ConsumerConfig, Mq};
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::dlq::DeadLetters;
use crate::persist::Persist;
use crate::recheck::Recheck;
use crate::repo::Repo;
use crate::worker;

/// What im-task needs from the world.
#[derive(Clone)]
pub struct Ports {
    /// The log; its topics exist.
    pub mq: Arc<dyn Mq>,
    /// im-repo.
    pub repo: Channel,
    /// Ways to gateways.
    pub pushers: Arc<dyn Pushers>,
}

/// Finds gateways to push through.
pub trait Pushers: Send + Sync + 'static {
    /// A connection to the `PusherService` of any live gateway, which forwards to the others; `None` when there is
    /// none, and so nobody to tell.
    fn any(&self) -> Option<Channel>;
}

/// im-task. Nothing runs before [`run`](Self::run).
pub struct Service {
    config: Config,
    ports: Ports,
    repo: Repo,
}

impl Service {
    /// Takes the ports.
    ///
    /// # Errors
    /// None today; kept so that later checks of the configuration don't change the signature.
    pub fn bind(config: Config, ports: Ports) -> Result<Self> {
        let repo = Repo::new(&ports.repo, config.rpc_timeout());
        Ok(Self { config, ports, repo })
    }

    /// Works until `shutdown`, then finishes the batches in hand and leaves the groups.
    pub async fn run(&self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        for _ in 0..self.config.persist.workers.max(1) {
            tasks.spawn(self.persist(shutdown.clone()));
        }
        tasks.close();
        tasks.wait().await;
    }

    fn persist(&self, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let producer = self.ports.mq.producer();
        let handler = Persist {
            repo: self.repo.clone(),
            recheck: Recheck { repo: self.repo.clone(), producer: producer.clone() },
            dead: DeadLetters::new(producer, topics::TASK_PERSIST_GROUP),
        };
        let consumer = ConsumerConfig::group(topics::TASK_PERSIST_GROUP, [topics::PERSIST]);
        worker::run(self.ports.mq.clone(), consumer, self.config.persist.batch, handler, shutdown)
    }
}
