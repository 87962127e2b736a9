//! All four services in one process, on embedded parts.
//!
//! The services are the ones a cluster runs; only the ports differ, and calls between them don't leave the process.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::disk::DiskGuard;
use gochat_infra::embedded::floor::FileFloor;
use gochat_infra::embedded::log::EmbeddedLog;
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::SqliteDatabase;
use gochat_infra::ids::{SnowflakeIds, first_conn_id, now_ms, system_clock};
use gochat_infra::os::explained;
use gochat_infra::port::db::SharedDatabase;
use gochat_infra::port::mq::Mq;
use gochat_infra::rpc::Channel;

use gochat_infra::shell::{Failed, Stages, because};
use gochat_infra::token::{Algorithm, KnownTokens};
use gochat_infra::topics;
use im_task::OneGateway;
use tokio_util::sync::CancellationToken;

use crate::admin::AdminSocket;
use crate::config::{Bounds, Config, load_or_create};
use crate::grpc::GrpcPort;

/// Time between two looks at the memory of cached rows.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A running system.
pub struct Running {
    addr: SocketAddr,
    logic: Channel,
    repo: Channel,
    admin: Channel,
    secret: String,
    db: SharedDatabase,
    mq: Arc<EmbeddedLog>,
    ids: Arc<SnowflakeIds>,
    floor: Arc<FileFloor>,
    disk: DiskGuard,
    stages: Stages,
}

/// The ports all services share.
struct Parts {
    db: SharedDatabase,
    mq: Arc<EmbeddedLog>,
    ids: Arc<SnowflakeIds>,
    floor: Arc<FileFloor>,
    disk: DiskGuard,
    secret: String,
}

/// Starts everything; when it returns, HTTP and WebSocket are served.
///
/// # Errors
/// A data folder that can't be used (or is used by another process), a database that can't be migrated, an address that
/// is taken.
pub async fn start(config: Config) -> Result<Running, Failed> {
    let bounds = config.memory_bounds().map_err(because("memory"))?;
    let parts = open(&config).await?;
    let mq: Arc<dyn Mq> = parts.mq.clone();

    let cache = Arc::new(MemoryCache::new(bounds.rows));
    let repo = im_repo::Service::bind(config.repo.clone(), repo_ports(&parts, cache.clone()))
        .await
        .map_err(because("im-repo"))?;
    let repo_channel = Channel::in_process(repo.routes()).with_local(repo.local());

    let mut logic_config = config.logic.clone();
    logic_config.auth.secret = parts.secret.clone();
    logic_config.pipeline.memory_bytes = bounds.windows_per_partition;
    // One switch for load tests.
    logic_config.budgets.disabled |= config.gateway.rates.disabled;
    let remembered = config.gateway.auth.remembered_tokens;
    let known_tokens = (remembered > 0).then(|| KnownTokens::new(remembered));
    let logic_ports = im_logic::ServicePorts {
        mq: mq.clone(),
        repo: repo_channel.clone(),
        ids: parts.ids.clone(),
        instance: "1".into(),
        signed: known_tokens.clone(),
    };
    let logic = im_logic::Service::bind(logic_config, logic_ports)
        .await
        .map_err(because("im-logic"))?;
    let logic_channel = Channel::in_process(logic.routes());
    let admin = Channel::in_process(logic.admin_routes());

    let mut gateway_config = config.gateway.clone();
    gateway_config.auth.algorithm = config.logic.auth.algorithm;
    if gateway_config.auth.algorithm == Algorithm::Hs256 {
        gateway_config.auth.secret = parts.secret.clone();
    }
    gateway_config.auth.issuer = config.logic.auth.issuer.clone();
    let gateway_id = gateway_config.gateway_id.clone();
    let gateway_ports = im_gateway::Ports {
        mq: mq.clone(),
        logic: logic_channel.clone(),
        repo: repo_channel.clone(),
        peers: Arc::new(im_gateway::NoPeers),
        first_conn_id: first_conn_id(&*parts.ids),
        known_tokens,
    };
    let gateway = im_gateway::Gateway::bind(gateway_config, gateway_ports)
        .await
        .map_err(because("im-gateway"))?;
    let addr = gateway.local_addr();
    let disk = parts.disk.clone();
    gateway.read_only_when(move || disk.is_low());

    let pusher = Channel::in_process(gateway.pusher_routes());
    let task_ports = im_task::Ports {
        mq,
        repo: repo_channel.clone(),
        repos: None,
        pushers: Arc::new(OneGateway::new(gateway_id, pusher)),
        coord: None,
    };
    let task = im_task::Service::bind(config.task.clone(), task_ports)
        .await
        .map_err(because("im-task"))?;

    let grpc = match &config.grpc_listen {
        Some(listen) => Some((
            GrpcPort::bind(listen).await.map_err(because("gRPC"))?,
            logic.routes(),
        )),
        None => None,
    };

    // Stopped in this order: the edge first, storage last.
    let mut stages = Stages::new();
    match AdminSocket::bind(&config.data_dir) {
        Ok(socket) => {
            let services = logic.admin_routes();
            stages.add("admin.sock", |stop| socket.run(services, stop));
        }
        Err(error) => tracing::warn!(
            %error,
            folder = %config.data_dir.display(),
            "admin.sock can't be bound: `gochat admin` does not reach this server"
        ),
    }
    if let Some((port, services)) = grpc {
        tracing::info!(addr = %port.addr(), "gRPC is serving");
        stages.add("gRPC", |stop| port.run(services, stop));
    }
    stages.add("im-gateway", |stop| async move {
        gateway.run(stop).await;
        Ok(())
    });
    stages.add("im-logic", |stop| async move {
        logic.run(stop).await.map_err(|e| e.to_string())
    });
    stages.add("im-task", |stop| async move {
        task.run(stop).await.map_err(|e| e.to_string())
    });
    stages.add("im-repo", |stop| async move {
        repo.run(stop).await;
        Ok(())
    });
    let Parts {
        db,
        mq,
        ids,
        floor,
        disk,
        secret,
    } = parts;
    stages.add("memory", |stop| report_memory(bounds, cache, stop));
    let watched = disk.clone();
    stages.add("disk", |stop| async move {
        watched.watch(stop).await;
        Ok(())
    });
    Ok(Running {
        addr,
        logic: logic_channel,
        repo: repo_channel,
        admin,
        secret,
        db,
        mq,
        ids,
        floor,
        disk,
        stages,
    })
}

/// Opens the data folder: secret, log, database.
async fn open(config: &Config) -> Result<Parts, Failed> {
    let dir = &config.data_dir;
    // Messages and password hashes: the owner's only.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(explained("make the data folder", dir.display()))
        .map_err(because("start"))?;
    let disk = DiskGuard::new(dir, config.storage.min_free_bytes);
    let mut journal = config.journal();
    journal.disk = Some(disk.clone());
    let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(journal))
        .await
        .map_err(because("log"))?
        .map_err(because(format!("log in {}", dir.display())))?;
    let secret =
        load_or_create(dir, std::env::var("JWT_SECRET").ok()).map_err(because("token secret"))?;
    let mut database = config.database();
    database.disk = Some(disk.clone());
    let db = SqliteDatabase::open(database)
        .map_err(because(format!("database in {}", dir.display())))?;
    log.ensure_topics(&topics::specs(config.storage.partitions))
        .await
        .map_err(because("topics"))?;
    log.ensure_topics(&[topics::downstream_spec(&config.gateway.gateway_id)])
        .await
        .map_err(because("topics"))?;
    // A folder of before the floor has ids already; they count when the clock stepped back behind
    // them.
    let newest = db.newest_id_time().await.filter(|at| *at >= now_ms());
    let floor = Arc::new(FileFloor::new(dir.join("ids.floor"), newest));
    // One process owns the folder, so its number can't be taken.
    let (ids, keeper) = SnowflakeIds::leased(
        1,
        CancellationToken::new(),
        floor.clone(),
        system_clock(),
        config.storage.lease_rules(),
    )
    .await
    .map_err(because("ids"))?;
    tokio::spawn(keeper.run());
    Ok(Parts {
        db: Arc::new(db),
        mq: Arc::new(log),
        ids,
        floor,
        disk,
        secret,
    })
}

/// Shows how much each part may keep, and now and then how much the cached rows take.
async fn report_memory(
    bounds: Bounds,
    cache: Arc<MemoryCache>,
    stop: CancellationToken,
) -> Result<(), String> {
    for (part, bytes) in bounds.parts() {
        metrics::gauge!("gochat_memory_limit_bytes", "part" => part).set(bytes as f64);
    }
    let rows = metrics::gauge!("gochat_memory_bytes", "part" => "rows");
    while !stop.is_cancelled() {
        rows.set(cache.bytes() as f64);
        let pause = tokio::time::sleep(REPORT_EVERY);
        stop.run_until_cancelled(pause).await;
    }
    Ok(())
}

fn repo_ports(parts: &Parts, cache: Arc<MemoryCache>) -> im_repo::Ports {
    im_repo::Ports {
        db: parts.db.clone(),
        cache,
        presence: Arc::new(MemoryPresence::new()),
        once: Arc::new(MemoryOnce::new(100_000)),
        counters: Arc::new(MemoryCounters::new(100_000)),
        limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 100_000)),
        ids: parts.ids.clone(),
    }
}

impl Running {
    /// The room on the disk.
    pub fn disk(&self) -> DiskGuard {
        self.disk.clone()
    }

    /// Where HTTP and WebSocket listen.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// im-logic's services, for embedders and tests.
    pub fn logic(&self) -> Channel {
        self.logic.clone()
    }

    /// `AdminService`, for embedders and tests. Callers are operators.
    pub fn admin(&self) -> Channel {
        self.admin.clone()
    }

    /// im-repo's services, for embedders and tests. No permissions are checked there.
    pub fn repo(&self) -> Channel {
        self.repo.clone()
    }

    /// The log, for embedders and tests.
    pub fn log(&self) -> Arc<dyn Mq> {
        self.mq.clone()
    }

    /// The secret under which signing keys are stored, or that signs tokens (`hs256`).
    pub fn jwt_secret(&self) -> &str {
        &self.secret
    }

    /// Resolves when a service fails for good, such as after a disk error: the process should end, and restart.
    pub async fn failed(&mut self) -> Failed {
        self.stages.failed().await
    }

    /// Stops in order: sockets are told to move on, what was accepted is sequenced and saved, files are closed.
    ///
    /// # Errors
    /// The first thing that did not stop cleanly; nothing acknowledged is lost even then.
    pub async fn stop(self) -> Result<(), Failed> {
        let outcome = self.stages.stop().await;
        self.ids.end(&*self.floor).await;
        let closed = self.db.close().await.map_err(because("database"));
        // The last handle: its drop syncs the log and lets the folder go.
        let log = self.mq;
        let released = tokio::task::spawn_blocking(move || drop(log))
            .await
            .map_err(because("log"));
        outcome.and(closed).and(released)
    }
}
