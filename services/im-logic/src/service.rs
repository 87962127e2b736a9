//! The whole service: the gRPC API and the sequencing workers.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gochat_core::error::{Error, Result};
use gochat_infra::ids::IdSource;
use gochat_infra::port::mq::{Mq, MqResult};
use gochat_infra::rpc::Channel;
use gochat_infra::token::KnownTokens;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::{Api, Ports};
use crate::config::Config;
use crate::pipeline::{self, PipelinePorts};
use crate::send::{AckReader, SendPath};

/// What an instance needs from the world.
#[derive(Clone)]
pub struct ServicePorts {
    /// The log; the topics of [`gochat_infra::topics::specs`] exist.
    pub mq: Arc<dyn Mq>,
    /// im-repo.
    pub repo: Channel,
    /// Message ids.
    pub ids: Arc<dyn IdSource>,
    /// Number of this instance, unique among the living ones.
    pub instance: Arc<str>,
    /// Takes access tokens in that are signed here: gateways of this process, which share it, don't
    /// check their signatures.
    pub signed: Option<KnownTokens>,
}

/// One instance of im-logic.
pub struct Service {
    config: Config,
    api: Api,
    pipeline: PipelinePorts,
    acks: AckReader,
}

impl Service {
    /// Checks the configuration and builds the API.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a configuration that can't work; what the log refuses with.
    pub async fn bind(mut config: Config, ports: ServicePorts) -> Result<Self> {
        // One switch for load tests.
        config.pipeline.pace.disabled |= config.budgets.disabled;
        config.pipeline.edit_window_ms = config.limits.edit_window_ms;
        config.pipeline.recall_window_ms = config.limits.recall_window_ms;
        config.pipeline.check()?;
        let api_ports = Ports {
            mq: ports.mq.clone(),
            repo: ports.repo.clone(),
            signed: ports.signed,
        };
        let limits = config.pipeline.draft_limits();
        let (sender, acks) =
            SendPath::open(&ports.mq, &ports.instance, &config.send, limits).await?;
        let api = Api::new(&config, &api_ports, Arc::new(sender))?;
        let pipeline = PipelinePorts {
            mq: ports.mq,
            repo: ports.repo,
            ids: ports.ids,
            instance: ports.instance,
        };
        Ok(Self {
            config,
            api,
            pipeline,
            acks,
        })
    }

    /// All services of `im.logic.v1`.
    pub fn routes(&self) -> Routes {
        self.api.routes()
    }

    /// `AdminService`: for operators, never for the network of users.
    pub fn admin_routes(&self) -> Routes {
        self.api.admin_routes()
    }

    /// All services of `im.logic.v1`, that of operators included: for the internal port of a
    /// cluster.
    pub fn routes_with_admin(&self) -> Routes {
        self.api.routes_with_admin()
    }

    /// Sequences until `shutdown`, then commits the batches in hand and leaves the group.
    ///
    /// # Errors
    /// When the log is lost for good.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        // One half without the other is of no use: the first error stops both.
        let stop = shutdown.child_token();
        let half = async |work: BoxFuture<'static, MqResult<()>>| {
            let outcome = work.await;
            stop.cancel();
            outcome
        };
        let workers = pipeline::run(self.config.pipeline, self.pipeline, stop.clone());
        let acks = self.acks.run(stop.clone());
        let api = self.api.clone();
        let (workers, acks, ()) = tokio::join!(
            half(Box::pin(workers)),
            half(Box::pin(acks)),
            api.send_owed(stop.clone())
        );
        self.api.flush().await;
        workers.and(acks).map_err(Error::from)
    }
}
