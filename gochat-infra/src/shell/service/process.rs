//! A running process, as its service sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::connect::{self, LateEtcd};
use super::live::Live;
use super::number::{self, LeasedIds, Number};
use super::program::Program;
use super::registration;
use super::settings::Settings;
use crate::ids::{CenterFloor, FloorStore as _, now_ms};
use crate::os::explain;
use crate::port::coord::{ConfigCenter, Instance, InstanceIds, Instances, Locks, Registry};
use crate::port::mq::{Mq, MqError, MqErrorKind, TopicPartition, TopicSpec};
use crate::rpc::{self, Backoff, Breakers, Channel, ChannelConfig, Directory};
use crate::shell::health::{self, Need, Probe};
use crate::shell::{Admin, Failed, Health, Metrics, Stages, because, build};
use crate::topics;

/// How long a dependency may be away before the process calls itself not ready.
const TOLERANCE: Duration = Duration::from_secs(10);

/// How long a gateway waits for the floor of its connection ids.
const FIRST_CONN_WAIT: Duration = Duration::from_secs(5);
/// Milliseconds between two runs of a gateway whose clock stepped back.
const RUN_ROOM_MS: u64 = 1_000;

/// What a service gets to run with.
pub struct Process<P: Program> {
    /// The settings the process started with.
    pub settings: Arc<Settings<P::Config>>,
    /// The settings as they change.
    pub live: Live<P::Config>,
    /// Liveness and readiness.
    pub health: Health,
    /// Cancelled when the process is told to stop.
    pub shutdown: CancellationToken,
    metrics: Metrics,
    coord: Arc<LateEtcd>,
    breakers: Breakers,
    background: JoinSet<()>,
    last: Stages,
}

impl<P: Program> Process<P> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the one place that puts it together"
    )]
    pub(super) fn new(
        settings: Arc<Settings<P::Config>>,
        live: Live<P::Config>,
        health: Health,
        metrics: Metrics,
        shutdown: CancellationToken,
        coord: Arc<LateEtcd>,
        breakers: Breakers,
        background: JoinSet<()>,
    ) -> Self {
        Self {
            settings,
            live,
            health,
            shutdown,
            metrics,
            coord,
            breakers,
            background,
            last: Stages::new(),
        }
    }

    /// Runs something until the process is told to stop.
    pub fn background(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(work);
    }

    /// Who lives.
    pub fn registry(&self) -> Arc<dyn Registry> {
        self.coord.clone()
    }

    /// Locks by name.
    pub fn locks(&self) -> Arc<dyn Locks> {
        self.coord.clone()
    }

    /// The config centre.
    pub fn config_center(&self) -> Arc<dyn ConfigCenter> {
        self.coord.clone()
    }

    /// Health and metrics as routes, for a service that serves them on its own port.
    pub fn admin_routes(&self) -> axum::Router {
        health::router(self.health.clone(), Some(self.metrics.clone()))
    }

    /// Serves health and metrics on a port of their own, from now to the very end of the process.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve_admin(&mut self) -> Result<SocketAddr, Failed> {
        let server = &self.settings.shared.server;
        let listen = SocketAddr::new(server.host, server.admin_port);
        let admin = Admin::bind(listen)
            .await
            .map_err(because("health and metrics"))?;
        let addr = admin.addr();
        let routes = self.admin_routes();
        self.background(async move {
            if let Err(error) = admin.run(routes, CancellationToken::new()).await {
                tracing::error!(error, "health and metrics are not served any more");
            }
        });
        tracing::info!(%addr, "health and metrics are served");
        Ok(addr)
    }

    /// Binds the gRPC port; what comes is answered once somebody serves it.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind_grpc(&self) -> Result<(TcpListener, SocketAddr), Failed> {
        let server = &self.settings.shared.server;
        let listen = SocketAddr::new(server.host, server.grpc_port);
        let taken = |e: std::io::Error| because("gRPC")(explain("listen on", listen, &e));
        let listener = TcpListener::bind(listen).await.map_err(taken)?;
        let addr = listener.local_addr().map_err(taken)?;
        Ok((listener, addr))
    }

    /// Tries until it works, while it says that trying again can help; `None` when the process is told to stop first.
    ///
    /// # Errors
    /// One that trying again can't mend.
    pub async fn persist<T, Fut>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> Fut,
    ) -> Result<Option<T>, Failed>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let outcome = tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                outcome = attempt() => outcome,
            };
            match outcome {
                Ok(done) => return Ok(Some(done)),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(what, %error, "not yet; trying again");
                }
                Err(error) => return Err(because(what)(error)),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = tokio::time::sleep(backoff.next_delay()) => {}
            }
        }
    }

    /// Claims the number of this instance; waits for etcd as long as it takes. The number is given back at the very
    /// end. `None` when the process is told to stop first.
    ///
    /// # Errors
    /// When there can be no number.
    pub async fn number(&mut self) -> Result<Option<Number>, Failed> {
        let coord = &self.settings.shared.coord;
        if let Some(id) = coord.instance_id {
            let ids = self.leased_ids(id).await?;
            return Ok(Some(Number { id, ids }));
        }
        let ttl = Duration::from_secs(coord.instance_id_ttl_s);
        let known = self
            .health
            .depend("instance-number", Need::Required(Duration::ZERO));
        let ids = self.coord.clone();
        let claimed = self
            .persist("instance number", || {
                InstanceIds::acquire(&*ids, P::NAME, ttl)
            })
            .await?;
        let Some(claimed) = claimed else {
            return Ok(None);
        };
        known.up();
        let (stop, health) = (CancellationToken::new(), self.health.clone());
        let leased = self.leased_ids(claimed.id).await?;
        let number = Number {
            id: claimed.id,
            ids: leased.clone(),
        };
        let keeper = number::kept(claimed, leased, ids, P::NAME, ttl, health, stop.clone());
        self.last.add("instance number", |told| async move {
            let forward = async {
                told.cancelled().await;
                stop.cancel();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = keeper => {}
                () = forward => {}
            }
            // A keeper that gave up has made the process unhealthy; it ends when it is told to.
            told.cancelled().await;
            Ok(())
        });
        tracing::info!(number = number.id, "this is the number of the instance");
        Ok(Some(number))
    }

    /// A generator for this number whose floor is stored in etcd.
    async fn leased_ids(&mut self, number: u16) -> Result<Arc<LeasedIds>, Failed> {
        let floor = CenterFloor::new(self.coord.clone(), P::NAME, &number.to_string());
        let rules = self.settings.shared.coord.lease_rules();
        let (ids, keeper) = number::leased(number, Arc::new(floor), rules)
            .await
            .map_err(because("instance number"))?;
        self.background(keeper.run());
        Ok(ids)
    }

    /// The first connection id of this run of the instance `name`: greater than those of all
    /// earlier runs, even if the clock stepped back. While etcd is away, the clock has to do.
    pub async fn first_conn_id(&self, name: &str) -> u64 {
        let floor = CenterFloor::new(self.coord.clone(), P::NAME, &format!("runs/{name}"));
        let now = now_ms();
        let raised = tokio::time::timeout(FIRST_CONN_WAIT, floor.raise(now, RUN_ROOM_MS)).await;
        let at = match raised {
            Ok(Ok(stored)) => stored.after,
            Ok(Err(error)) => {
                tracing::warn!(%error, "connection ids begin at the time of the clock");
                now
            }
            Err(_) => {
                tracing::warn!(
                    "etcd does not answer; connection ids begin at the time of the clock"
                );
                now
            }
        };
        // A millisecond leaves room for a million connections.
        at << 20
    }

    /// The log, with its topics; waits for Kafka as long as it takes. `None` when the process is told to stop first.
    ///
    /// # Errors
    /// Settings that can't be used, and topics of another shape.
    pub async fn log(&mut self, also: Vec<TopicSpec>) -> Result<Option<Arc<dyn Mq>>, Failed> {
        let shared = &self.settings.shared;
        let kafka = self.health.depend("kafka", Need::Required(TOLERANCE));
        let mut config = shared.kafka.clone();
        if config.client_id == "gochat" {
            config.client_id = format!("gochat-{}", P::NAME);
        }
        let Some(mq) = self
            .persist("kafka", || connect::kafka(config.clone()))
            .await?
        else {
            return Ok(None);
        };
        let mut specs = also;
        if shared.topics.create {
            specs.extend(topics::specs(shared.topics.partitions));
        }
        let ensured = self
            .persist("topics", || async {
                match mq.ensure_topics(&specs).await {
                    // Only a person can make a topic what the settings say, or the settings what it is.
                    Err(error) if error.kind == MqErrorKind::Invalid => Ok(Err(explained(error))),
                    outcome => outcome.map(Ok).map_err(explained),
                }
            })
            .await?;
        match ensured {
            None => return Ok(None),
            Some(outcome) => outcome.map_err(because("topics"))?,
        }
        kafka.up();
        let (asked, stop) = (mq.clone(), self.shutdown.clone());
        let ask = move || {
            let mq = asked.clone();
            async move {
                let first = TopicPartition::new(topics::UPSTREAM, 0);
                mq.end_offset(&first)
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string())
            }
        };
        self.background(async move { Probe::default().run(kafka, stop, ask).await });
        Ok(Some(mq))
    }

    /// A channel to a service, and its health as a dependency.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn channel(
        &mut self,
        service: &'static str,
        fallback: &[String],
    ) -> Result<Channel, Failed> {
        let instances = self.instances(service);
        let channel = rpc::discovered(instances, self.channel_config(service, fallback))
            .map_err(because(service))?;
        let known = self.health.depend(service, Need::Required(TOLERANCE));
        let (asked, stop) = (channel.clone(), self.shutdown.clone());
        let ask = move || {
            let mut client = HealthClient::new(asked.clone());
            async move {
                let answer = client.check(HealthCheckRequest::default()).await;
                answer.map(drop).map_err(|s| s.message().to_owned())
            }
        };
        self.background(async move { Probe::default().run(known, stop, ask).await });
        Ok(channel)
    }

    /// Who lives, locks, and settings all instances share; unavailable while etcd is.
    pub fn coord(&self) -> Arc<impl Registry + Locks + ConfigCenter + use<P>> {
        self.coord.clone()
    }

    /// Channels to each instance of a service. With `idle` an instance is connected to for its first call, and let go
    /// after this long without any: for those who call few of many.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn directory(
        &mut self,
        service: &'static str,
        idle: Option<Duration>,
    ) -> Result<Directory, Failed> {
        let instances = self.instances(service);
        let config = ChannelConfig {
            idle,
            ..self.channel_config(service, &[])
        };
        Directory::new(instances, config).map_err(because(service))
    }

    fn instances(&mut self, service: &'static str) -> watch::Receiver<Instances> {
        let registry = self.coord.clone();
        // Not before the end: calls are made while the service drains.
        let (known, following) = registration::follow(registry, service, CancellationToken::new());
        self.background(following);
        known
    }

    fn channel_config(&self, service: &str, fallback: &[String]) -> ChannelConfig {
        ChannelConfig {
            name: service.to_owned(),
            fallback: fallback.to_vec(),
            breakers: Some(self.breakers.clone()),
            ..self.settings.shared.rpc.channel.clone()
        }
    }

    /// What others find in the registry.
    pub fn instance(
        &self,
        id: impl Into<String>,
        addr: SocketAddr,
        metadata: &[(&str, String)],
    ) -> Instance {
        let shared = &self.settings.shared;
        let said = shared.server.advertise.as_deref();
        let etcd = connect::first_endpoint(&shared.coord);
        let mut all = BTreeMap::from([("version".to_owned(), build::VERSION.to_owned())]);
        all.extend(
            metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        Instance {
            id: id.into(),
            name: P::NAME.to_owned(),
            address: registration::advertised(said, addr.ip(), etcd.as_deref()),
            port: addr.port(),
            metadata: all,
        }
    }

    /// Announces the instance, says ready, waits for the end, then stops: out of the registry first, then `stages` in
    /// their order, then what the shell keeps.
    ///
    /// # Errors
    /// A part that failed, or did not stop cleanly or in time.
    pub async fn serve(mut self, instance: Instance, stages: Stages) -> Result<(), Failed> {
        self.health.set_instance(instance.id.clone());
        let registry = self.coord.clone();
        let ttl = Duration::from_secs(self.settings.shared.coord.registration_ttl_s);
        let mut all = Stages::new();
        all.add("registration", |stop| async move {
            registration::keep_registered(registry, instance, ttl, stop).await;
            Ok(())
        });
        all.append(stages);
        all.append(std::mem::take(&mut self.last));
        self.health.set_started();
        tracing::info!("started");
        let outcome = tokio::select! {
            () = self.shutdown.cancelled() => Ok(()),
            error = all.failed() => Err(error),
        };
        self.health.set_draining();
        self.shutdown.cancel();
        let stopped = all.stop_within(P::STOP_WITHIN).await;
        if stopped.is_ok() {
            tracing::info!("stopped");
        }
        outcome.and(stopped)
    }
}

/// A log error with its reason: the catalogue's sentences are for users.
fn explained(error: MqError) -> Error {
    let text = error.to_string();
    let error = Error::from(error);
    Error::new(error.code, text)
}
