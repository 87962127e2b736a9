//! im-repo as a process of a cluster: its settings, and how it is put together.

mod late;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ratelimit::RuleTable;
use gochat_infra::cluster::mysql::MysqlDatabase;
use gochat_infra::cluster::redis::{
    Redis, RedisCache, RedisCounters, RedisLimiter, RedisOnce, RedisPresence,
};
use gochat_infra::ids::IdSource;
use gochat_infra::port::db::SharedDatabase;
use gochat_infra::rpc::{self, Services};
use gochat_infra::shell::service::{self, Process, Program, Settings};
use gochat_infra::shell::{Failed, Need, Probe, Stages};
use tokio::sync::watch;

use crate::rpc::failed;
use crate::{Config, Ports, Service};
use late::LateRoutes;

/// How long MySQL may be away before the instance calls itself not ready.
const TOLERANCE: Duration = Duration::from_secs(10);
/// Whose buckets RateLimitService holds, as their keys in Redis say: only gateways ask for them.
const LIMITED: &str = "im-gateway";
/// Buckets of this process while Redis is away, as many as a gateway has of a kind.
const LOCAL_BUCKETS: usize = 200_000;

/// The whole of `main`.
pub fn main() -> ExitCode {
    service::main::<ImRepo>()
}

/// im-repo.
struct ImRepo;

impl Program for ImRepo {
    const NAME: &'static str = "im-repo";
    const SECTION: &'static str = "repo";
    const ABOUT: &'static str = "GoChat's only door to MySQL and Redis.";
    const STOP_WITHIN: Duration = Duration::from_secs(5);
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("SERVER_PORT", "server.grpc_port")];
    type Config = Config;

    fn defaults() -> Settings<Config> {
        let mut settings = Settings::<Config>::default();
        settings.shared.server.grpc_port = 8080;
        // The rest of its five seconds is for what comes after the calls.
        settings.shared.server.grpc.drain_ms = 3_000;
        settings
    }

    fn check(settings: &Settings<Config>) -> Vec<String> {
        let whole = settings.service.max_request_bytes > 0;
        let wrong = (!whole).then(|| "`repo.max_request_bytes` must be above 0".to_owned());
        wrong.into_iter().collect()
    }

    async fn run(mut process: Process<Self>) -> Result<(), Failed> {
        let settings = process.settings.clone();
        let (listener, addr) = process.bind_grpc().await?;
        // Health and metrics are on the same port, so it is served from the start; services follow.
        let routes = LateRoutes::default();
        let (bound, ready) = watch::channel(false);
        let services = Services::new(routes.routes())
            .http(process.admin_routes())
            .ready(ready)
            .reflection();
        let grpc = settings.shared.server.grpc.clone();
        let mut stages = Stages::new();
        stages.add("gRPC", |stop| async move {
            rpc::serve(listener, services, grpc, stop)
                .await
                .map_err(|e| e.to_string())
        });
        tracing::info!(%addr, "gRPC, health and metrics are served");
        let Some(number) = process.number().await? else {
            return Ok(());
        };
        let opened = process
            .persist("storage", || open(&settings, number.ids.clone()))
            .await?;
        let Some((ports, redis)) = opened else {
            return Ok(());
        };
        watch_storage(&mut process, ports.db.clone(), redis);
        let db = ports.db.clone();
        let repo = process
            .persist("database", || {
                Service::bind(settings.service.clone(), ports.clone())
            })
            .await?;
        let Some(repo) = repo else {
            return Ok(());
        };
        routes.set(repo.routes());
        bound.send_replace(true);
        stages.add("clean-up", |stop| async move {
            repo.run(stop).await;
            Ok(())
        });
        stages.add("mysql", |stop| async move {
            stop.cancelled().await;
            db.close().await.map_err(|e| e.to_string())
        });
        let instance = process.instance(format!("im-repo-{}", number.id), addr, &[]);
        process.serve(instance, stages).await
    }
}

/// MySQL and Redis. Neither has to be there yet.
async fn open(settings: &Settings<Config>, ids: Arc<dyn IdSource>) -> Result<(Ports, Redis)> {
    let shared = &settings.shared;
    let db = MysqlDatabase::connect(shared.mysql.clone())
        .await
        .map_err(failed)?;
    let redis = Redis::connect(shared.redis.clone()).await?;
    let ports = Ports {
        db: Arc::new(db),
        cache: Arc::new(RedisCache::new(redis.clone())),
        presence: Arc::new(RedisPresence::new(redis.clone())),
        once: Arc::new(RedisOnce::new(redis.clone())),
        counters: Arc::new(RedisCounters::new(redis.clone())),
        limiter: Arc::new(RedisLimiter::new(
            redis.clone(),
            LIMITED,
            RuleTable::default(),
            LOCAL_BUCKETS,
        )),
        ids,
    };
    Ok((ports, redis))
}

/// Without MySQL there is no history to answer with. Without Redis presence is unknown, and nothing else is lost.
fn watch_storage(process: &mut Process<ImRepo>, db: SharedDatabase, redis: Redis) {
    let mysql = process.health.depend("mysql", Need::Required(TOLERANCE));
    let stop = process.shutdown.clone();
    process.background(async move {
        let ask = move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|e| e.to_string()) }
        };
        Probe::default().run(mysql, stop, ask).await;
    });
    let known = process.health.depend("redis", Need::Helpful);
    let stop = process.shutdown.clone();
    process.background(async move {
        let ask = move || {
            let redis = redis.clone();
            async move { redis.ping().await.map_err(|e| e.to_string()) }
        };
        Probe::default().run(known, stop, ask).await;
    });
}
