//! Putting the parts together, starting and stopping them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gochat_infra::os::explain;
use gochat_infra::port::mq::{Consumer, Mq, MqError};
use gochat_infra::rpc::Channel;
use gochat_infra::token::KnownTokens;
use gochat_infra::topics;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use crate::backend::Backend;
use crate::broadcast::{self, Broadcasts};
use crate::config::{Config, Rates};
use crate::groups::{self, Groups};
use crate::health::Health;
use crate::limits::Limits;
use crate::peers::Peers;
use crate::presence::{self, Presence};
use crate::pusher::Pusher;
use crate::reactions::{self, Reactions};
use crate::recents::Recents;
use crate::revocations::{self, Revocations};
use crate::state::{Gw, Shared};
use crate::tls::Edge;
use crate::tokens::{self, Verifier};
use crate::told::{self, Told};
use crate::turns::Turns;
use crate::typing::{self, Typing};
use crate::waiters::Waiters;
use crate::ws::backlog::Backlog;
use crate::ws::conn::QueueLimits;
use crate::ws::{drain, sweeper};
use crate::{downstream, http, metrics, server, upstream};

/// How long a start waits for the list of revocations before it goes on without tokens being
/// believed.
const FIRST_LOAD: Duration = Duration::from_secs(1);
/// Messages that are read at the same time to be passed on; more are refused, retryably.
const FORWARDS_MAX: usize = 256;

/// What the gateway needs from the world.
#[derive(Clone)]
pub struct Ports {
    /// The log. Topics other than the gateway's own downstream topic exist already.
    pub mq: Arc<dyn Mq>,
    /// im-logic.
    pub logic: Channel,
    /// im-repo.
    pub repo: Channel,
    /// The other gateways.
    pub peers: Arc<dyn Peers>,
    /// Id of the first connection; greater than all connection ids of earlier runs of this gateway,
    /// even if the clock stepped back. See [`gochat_infra::ids::first_conn_id`].
    pub first_conn_id: u64,
    /// Tokens that were signed in this process, when im-logic runs in it. None: the gateway
    /// remembers those that it verified.
    pub known_tokens: Option<KnownTokens>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ports")
    }
}

/// The gateway could not start.
#[derive(Debug)]
pub enum BindError {
    /// The address is taken or not ours.
    Listen(SocketAddr, io::Error),
    /// The certificate or its key can't be used.
    Certificate(String),
    /// The log could not be used.
    Log(MqError),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => f.write_str(&explain("listen on", address, error)),
            Self::Certificate(error) => write!(f, "TLS can't be used: {error}"),
            Self::Log(error) => write!(f, "the log can't be used: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// A gateway that is bound and not yet serving.
pub struct Gateway {
    gw: Gw,
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: Option<Arc<Edge>>,
    downstream: downstream::Subscription,
    revocations: Option<Box<dyn Consumer>>,
    queues: Queues,
}

/// Receiving ends of the gateway's tasks.
pub(crate) struct Queues {
    upstream: mpsc::Receiver<upstream::Queued>,
    broadcasts: broadcast::Queue,
    groups: groups::Queue,
    registrations: mpsc::Receiver<presence::Registration>,
    relays: Vec<mpsc::Receiver<typing::Relay>>,
}

impl Gateway {
    /// Opens the listener and stands at the end of this gateway's topic. Nothing is answered before
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// [`BindError`]: the address or the log can't be used.
    pub async fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        metrics::describe();
        let address = config.listen;
        let tls = Edge::open(&config.tls).map_err(BindError::Certificate)?;
        let listener = server::listen(address, config.connections.backlog)
            .map_err(|e| BindError::Listen(address, e))?;
        let local_addr = listener
            .local_addr()
            .map_err(|e| BindError::Listen(address, e))?;
        let (gw, queues) = assemble(config, ports);
        let downstream = downstream::subscribe(&gw).await.map_err(BindError::Log)?;
        // Where im-repo answers at once, the first request finds tokens believed already.
        let loading = tokio::time::timeout(FIRST_LOAD, revocations::subscribe(&gw));
        let keys = tokio::time::timeout(FIRST_LOAD, gw.load_keys());
        let (revocations, _) = tokio::join!(loading, keys);
        let revocations = revocations.ok().and_then(Result::ok);
        Ok(Self {
            gw,
            listener,
            local_addr,
            tls,
            downstream,
            revocations,
            queues,
        })
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Makes `/health` ask this as well: whether the services behind the gateway can be used.
    pub fn ready_when(&self, ready: impl Fn() -> bool + Send + Sync + 'static) {
        self.gw.health.also(ready);
    }

    /// Says on `/health` that new data is refused while reading goes on, as long as `read_only`
    /// answers true.
    pub fn read_only_when(&self, read_only: impl Fn() -> bool + Send + Sync + 'static) {
        self.gw.health.read_only_when(read_only);
    }

    /// Changes the rate limits of the running gateway.
    pub fn rates(&self) -> impl Fn(Rates) + Send + Sync + use<> {
        let gw = self.gw.clone();
        move |rates| gw.limits.set_rates(rates)
    }

    /// `PusherService`, to be served on the gRPC port or called in process.
    pub fn pusher_routes(&self) -> Routes {
        Routes::new(Pusher::service(self.gw.clone()))
    }

    /// Serves until `shutdown`, then stops in order: nothing new is accepted, requests in progress
    /// finish, sockets are closed with 1001, messages taken are written, sessions are removed.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            gw,
            listener,
            downstream,
            revocations,
            queues,
            local_addr,
            tls,
        } = self;
        let secure = tls.is_some();
        tracing::info!(%local_addr, gateway_id = &*gw.id, tls = secure, "gateway is serving");
        if !secure && !local_addr.ip().is_loopback() {
            tracing::warn!(%local_addr, "tokens and messages travel unencrypted: set gateway.tls, or keep a proxy with TLS in front");
        }
        let [accepting, connected, working, leaving] =
            std::array::from_fn(|_| CancellationToken::new());
        let workers = TaskTracker::new();
        workers.spawn(upstream::run(gw.clone(), queues.upstream, working.clone()));
        workers.spawn(broadcast::run(
            gw.clone(),
            queues.broadcasts,
            working.clone(),
        ));
        workers.spawn(groups::run(gw.clone(), queues.groups, working.clone()));
        workers.spawn(downstream::run(gw.clone(), downstream, working.clone()));
        workers.spawn(reactions::run(gw.clone(), working.clone()));
        workers.spawn(presence::run_registering(
            gw.clone(),
            queues.registrations,
            working.clone(),
        ));
        workers.spawn(presence::bury(gw.clone(), working.clone()));
        workers.spawn(revocations::run(gw.clone(), revocations, working.clone()));
        workers.spawn(tokens::follow_keys(gw.clone(), working.clone()));
        workers.spawn(sweeper::run(gw.clone(), working.clone()));
        workers.spawn(told::run(gw.clone(), working.clone()));
        if let Some(edge) = tls.clone() {
            workers.spawn(edge.watch(working.clone()));
        }
        for relays in queues.relays {
            workers.spawn(typing::run(gw.clone(), relays, working.clone()));
        }
        let mut leaver = tokio::spawn(presence::run_leaving(gw.clone(), leaving.clone()));
        let router = http::router(gw.clone());
        let (stop, end) = (accepting.clone(), connected.clone());
        let serving = server::run(gw.clone(), listener, router, tls, stop, end);
        let mut server = tokio::spawn(serving);

        shutdown.cancelled().await;
        let time = Duration::from_millis(gw.config.drain_timeout_ms);
        gw.health.set_draining();
        accepting.cancel();
        // Requests that wait for an acknowledgement get it while the sockets say goodbye.
        let (served, ()) = tokio::join!(
            tokio::time::timeout(time, &mut server),
            drain::drain(&gw, time / 2)
        );
        // Connections that did not end in time are cut: none outlives the service.
        connected.cancel();
        if served.is_err() {
            let _ = tokio::time::timeout(time / 4, &mut server).await;
        }
        working.cancel();
        workers.close();
        let _ = tokio::time::timeout(time / 4, workers.wait()).await;
        leaving.cancel();
        let _ = tokio::time::timeout(time / 4, &mut leaver).await;
        // What did not end in time holds the log and must not outlive the service.
        server.abort();
        leaver.abort();
        tracing::info!(gateway_id = &*gw.id, "gateway has stopped");
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

pub(crate) fn assemble(config: Config, ports: Ports) -> (Gw, Queues) {
    let (upstream, upstream_rx) = mpsc::channel(config.backend.upstream_queue.max(1));
    let (broadcasts, broadcasts_rx) = Broadcasts::new(config.replay.clone());
    let (groups, groups_rx) = Groups::new(&config.replay);
    let (presence, registrations) =
        Presence::new(config.presence.queue, config.presence.offline_delay_ms);
    let (typing, relays) = Typing::new(&config.presence);
    let queue = QueueLimits {
        frames: config.websocket.queue_frames,
        bytes: config.websocket.queue_bytes,
    };
    let first_conn_id = ports.first_conn_id;
    let shared = Shared {
        id: Arc::from(config.gateway_id.as_str()),
        ws_rules: config.ws_rules(),
        ws_limits: config.websocket.limits(),
        queue,
        backlog: Arc::new(Backlog::new(config.websocket.max_queued_bytes)),
        mq: ports.mq,
        peers: ports.peers,
        backend: Backend::new(ports.logic, ports.repo, &config.backend),
        verifier: Verifier::with_known(&config.auth, ports.known_tokens),
        revocations: Revocations::new(config.auth.max_revocations),
        limits: Limits::new(config.rates.clone()),
        table: Default::default(),
        broadcasts,
        conversations: ahash::RandomState::new(),
        recents: Recents::new(config.replay.clone()),
        groups,
        reactions: Reactions::default(),
        told: Told::new(&config.told),
        turns: Turns::new(),
        held_bytes: Default::default(),
        presence,
        typing,
        waiters: Waiters::new(config.http.max_waiting_sends),
        forwards: Semaphore::new(FORWARDS_MAX),
        upstream,
        upstream_topic: Arc::from(topics::UPSTREAM),
        health: Health::default(),
        conn_tasks: TaskTracker::new(),
        reads: Arc::new(Semaphore::new(config.presence.mark_read_in_flight)),
        closing: Default::default(),
        first_conn_id,
        next_conn_id: AtomicU64::new(first_conn_id),
        config,
    };
    let queues = Queues {
        upstream: upstream_rx,
        broadcasts: broadcasts_rx,
        groups: groups_rx,
        registrations,
        relays,
    };
    (Arc::new(shared), queues)
}
