//! Several instances of every service in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::SnowflakeIds;
use gochat_infra::port::db::SharedDatabase;
use gochat_infra::port::mq::Mq;
use gochat_infra::port::presence::PresenceStore;
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::kit::http::Http;
use crate::kit::{PASSWORD, PATIENCE, User, fresh_name};

const PARTITIONS: u32 = 8;
pub const SECRET: &str = "a secret that only these tests know, long enough";

/// "Within a second", with room for a machine that does other things. What these tests look for never comes
/// when it is lost, however long they wait.
pub const SOON: Duration = Duration::from_secs(12);

/// A cluster that belongs to one test.
pub struct Cluster {
    pub log: Arc<EmbeddedLog>,
    pub presence: Arc<MemoryPresence>,
    pub gates: Gates,
    db: SharedDatabase,
    cache: Arc<MemoryCache>,
    limiter: Arc<MemoryLimiter>,
    directory: Directory,
    settings: Vec<String>,
    members: BTreeMap<String, Member>,
    edges: BTreeMap<String, String>,
    admins: BTreeMap<String, Channel>,
    workers: u16,
    _folder: tempfile::TempDir,
}

/// A running instance.
struct Member {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    run: JoinHandle<()>,
}

impl Cluster {
    /// Two instances of everything.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Two instances of everything, with some settings, `key=value`.
    pub async fn with(settings: &[&str]) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            // Only the first one of the process installs itself.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .with_test_writer()
                .try_init();
        }
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let log = EmbeddedLog::open(LogConfig::new(folder.path().join("log"))).unwrap();
        log.ensure_topics(&topics::specs(PARTITIONS)).await.unwrap();
        let db = SqliteDatabase::open(SqliteOptions::new(folder.path().join("gochat.db"))).unwrap();
        let mut cluster = Self {
            log: Arc::new(log),
            presence: Arc::new(MemoryPresence::new()),
            gates: Gates::default(),
            db: Arc::new(db),
            cache: Arc::new(MemoryCache::new(4 << 20)),
            limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 1_000)),
            directory: Directory::default(),
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            members: BTreeMap::new(),
            edges: BTreeMap::new(),
            admins: BTreeMap::new(),
            workers: 0,
            _folder: folder,
        };
        for n in 1..=2 {
            cluster.start_repo(&format!("repo-{n}")).await;
        }
        for n in 1..=2 {
            cluster.start_logic(&format!("logic-{n}")).await;
        }
        for n in 1..=2 {
            cluster.start_gateway(&format!("gateway-{n}")).await;
        }
        for n in 1..=2 {
            cluster.start_task(&format!("task-{n}")).await;
        }
        cluster
    }

    fn config(&self, more: &[String]) -> gochat::config::Config {
        let base = [
            "gateway.listen=127.0.0.1:0",
            "gateway.rates.disabled=true",
            "logic.limits.system_messages=false",
            "logic.budgets.disabled=true",
            "gateway.websocket.rate=100000",
            "gateway.websocket.burst=100000",
            "logic.passwords.memory_kib=64",
            "logic.passwords.passes=1",
        ];
        let base = base.iter().map(|s| (*s).to_owned());
        let all: Vec<_> = base
            .chain(self.settings.iter().cloned())
            .chain(more.iter().cloned())
            .collect();
        let mut config = gochat::config::Config::load(None, std::iter::empty(), &all).unwrap();
        config.logic.auth.secret = SECRET.to_owned();
        config
    }

    fn ids(&mut self) -> Arc<SnowflakeIds> {
        self.workers += 1;
        Arc::new(SnowflakeIds::new(self.workers, CancellationToken::new()).unwrap())
    }

    async fn start_repo(&mut self, name: &str) {
        let ports = im_repo::Ports {
            db: self.db.clone(),
            cache: self.cache.clone(),
            presence: self.presence.clone(),
            once: Arc::new(MemoryOnce::new(1_000)),
            counters: Arc::new(MemoryCounters::new(1_000)),
            limiter: self.limiter.clone(),
            ids: self.ids(),
        };
        let config = self.config(&[]).repo;
        let runtime = runtime();
        let bound = runtime.spawn(im_repo::Service::bind(config, ports));
        let service = bound.await.unwrap().unwrap();
        let routes = Channel::in_process(service.routes());
        self.directory.add(name, routes);
        let stop = CancellationToken::new();
        let run = runtime.spawn({
            let stop = stop.clone();
            async move { service.run(stop).await }
        });
        self.keep(name, runtime, stop, run);
    }

    /// Starts an im-logic, `logic-{instance}`.
    pub async fn start_logic(&mut self, name: &str) {
        let ports = im_logic::ServicePorts {
            mq: self.log.clone(),
            repo: self.calls(name, "repo-"),
            ids: self.ids(),
            instance: name.trim_start_matches("logic-").into(),
            signed: None,
        };
        let config = self.config(&[]).logic;
        let runtime = runtime();
        let bound = runtime.spawn(im_logic::Service::bind(config, ports));
        let service = bound.await.unwrap().unwrap();
        self.directory
            .add(name, Channel::in_process(service.routes()));
        self.admins
            .insert(name.to_owned(), Channel::in_process(service.admin_routes()));
        let stop = CancellationToken::new();
        let run = runtime.spawn({
            let stop = stop.clone();
            async move { service.run(stop).await.unwrap() }
        });
        self.keep(name, runtime, stop, run);
    }

    /// Starts a gateway under an instance id.
    pub async fn start_gateway(&mut self, id: &str) {
        let ports = im_gateway::Ports {
            mq: self.log.clone(),
            logic: self.calls(id, "logic-"),
            repo: self.calls(id, "repo-"),
            peers: Arc::new(Gateways {
                caller: id.to_owned(),
                directory: self.directory.clone(),
                gates: self.gates.clone(),
            }),
            first_conn_id: gochat_infra::ids::now_ms() << 20,
            known_tokens: None,
        };
        let mut config = self.config(&[]).gateway;
        config.gateway_id = id.to_owned();
        let runtime = runtime();
        let bound = runtime.spawn(im_gateway::Gateway::bind(config, ports));
        let gateway = bound.await.unwrap().unwrap();
        self.edges
            .insert(id.to_owned(), format!("http://{}", gateway.local_addr()));
        self.directory
            .add(id, Channel::in_process(gateway.pusher_routes()));
        let stop = CancellationToken::new();
        let run = runtime.spawn(gateway.run(stop.clone()));
        self.keep(id, runtime, stop, run);
    }

    /// Starts an im-task.
    pub async fn start_task(&mut self, name: &str) {
        let ports = im_task::Ports {
            mq: self.log.clone(),
            repo: self.calls(name, "repo-"),
            repos: Some(Arc::new(self.directory.clone())),
            pushers: Arc::new(Gateways {
                caller: name.to_owned(),
                directory: self.directory.clone(),
                gates: self.gates.clone(),
            }),
            coord: None,
        };
        let mut config = self.config(&[]).task;
        config.instance_id = name.to_owned();
        let runtime = runtime();
        let bound = runtime.spawn(im_task::Service::bind(config, ports));
        let service = bound.await.unwrap().unwrap();
        let stop = CancellationToken::new();
        let run = runtime.spawn({
            let stop = stop.clone();
            async move { service.run(stop).await.unwrap() }
        });
        self.keep(name, runtime, stop, run);
    }

    fn keep(&mut self, name: &str, runtime: Runtime, stop: CancellationToken, run: JoinHandle<()>) {
        let member = Member {
            runtime: Some(runtime),
            stop,
            run,
        };
        self.members.insert(name.to_owned(), member);
    }

    /// Ends an instance as SIGKILL does: nothing more is said or written, sockets break.
    pub async fn kill(&mut self, name: &str) {
        self.directory.remove(name);
        let mut member = self.members.remove(name).unwrap();
        let runtime = member.runtime.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
        ended.await.unwrap();
    }

    /// Stops an instance in order.
    pub async fn stop(&mut self, name: &str) {
        let mut member = self.members.remove(name).unwrap();
        member.stop.cancel();
        let run = &mut member.run;
        tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
        self.directory.remove(name);
        member.runtime.take().unwrap().shutdown_background();
    }

    /// What `caller` reaches any instance of a service through; its calls can be held at a gate.
    fn calls(&self, caller: &str, service: &'static str) -> Channel {
        self.gates.over(caller, self.directory.any_of(service))
    }

    /// The RPCs of one instance.
    pub fn channel(&self, name: &str) -> Channel {
        self.directory.get(name).unwrap()
    }

    /// What an operator reaches of one im-logic.
    pub fn admin(&self, name: &str) -> Channel {
        self.admins[name].clone()
    }

    /// A new user, signed in, who uses this gateway.
    pub async fn user(&self, gateway: &str) -> User {
        let http = self.http(gateway);
        let account = json!({"username": fresh_name(), "password": PASSWORD});
        let registered = http.call("POST", "/auth/register", None, Some(account.clone()));
        registered.await.data();
        let session = http.call("POST", "/auth/login", None, Some(account)).await;
        User::new(http, &session.data())
    }

    /// A client of this gateway that is not signed in.
    pub fn http(&self, gateway: &str) -> Http {
        Http::new(self.edges[gateway].clone())
    }

    /// The same user and token at another gateway.
    pub fn at(&self, gateway: &str, user: &User) -> User {
        User {
            http: self.http(gateway),
            ..user.clone()
        }
    }

    /// The gateways that hold sessions of a user, in order.
    pub async fn gateways_of(&self, user: &User) -> Vec<String> {
        let id = user.id.parse().unwrap();
        let statuses = self.presence.statuses(now_ms(), &[id]).await.unwrap();
        let mut gateways: Vec<_> = statuses[0].gateways.iter().map(|g| g.to_string()).collect();
        gateways.sort();
        gateways
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in self.members.values_mut() {
            member.stop.cancel();
            if let Some(runtime) = member.runtime.take() {
                runtime.shutdown_background();
            }
        }
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

pub fn now_ms() -> u64 {
    u64::try_from(crate::kit::now()).unwrap() * 1_000
}

/// Instances that live, by name.
#[derive(Clone, Default)]
struct Directory {
    all: Arc<Mutex<BTreeMap<String, Channel>>>,
    turn: Arc<AtomicUsize>,
}

impl Directory {
    fn add(&self, name: &str, channel: Channel) {
        self.all.lock().insert(name.to_owned(), channel);
    }

    fn remove(&self, name: &str) {
        self.all.lock().remove(name);
    }

    fn get(&self, name: &str) -> Option<Channel> {
        self.all.lock().get(name).cloned()
    }

    /// Each call goes to the next instance whose name begins so.
    fn any_of(&self, service: &'static str) -> Channel {
        let this = self.clone();
        Channel::new(tower::service_fn(move |request: http::Request<Body>| {
            let chosen = this.next(service);
            async move {
                match chosen {
                    Some(channel) => channel.oneshot(request).await,
                    None => Ok(tonic::Status::unavailable("no instance lives").into_http()),
                }
            }
        }))
    }

    fn next(&self, service: &str) -> Option<Channel> {
        let all = self.all.lock();
        let fitting: Vec<_> = all.iter().filter(|(n, _)| n.starts_with(service)).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = fitting.get(turn % fitting.len().max(1))?;
        Some(chosen.1.clone())
    }
}

/// The gateways as other instances find them.
struct Gateways {
    caller: String,
    directory: Directory,
    gates: Gates,
}

impl im_gateway::Peers for Gateways {
    fn channel(&self, gateway_id: &str) -> Option<Channel> {
        let channel = self.directory.get(gateway_id)?;
        Some(self.gates.over(&self.caller, channel))
    }
}

impl im_task::Repos for Directory {
    fn all(&self) -> Vec<(Arc<str>, Channel)> {
        let all = self.all.lock();
        let repos = all.iter().filter(|(name, _)| name.starts_with("repo-"));
        let way = |(name, way): (&String, &Channel)| (name.as_str().into(), way.clone());
        repos.map(way).collect()
    }
}

impl im_task::Pushers for Gateways {
    fn gateway(&self, gateway_id: &str) -> Option<Channel> {
        im_gateway::Peers::channel(self, gateway_id)
    }

    fn any(&self) -> Option<Channel> {
        self.directory.next("gateway-")
    }
}

/// Places where calls can be held, and made to fail.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<Vec<Gate>>>);

struct Gate {
    caller: &'static str,
    path: &'static str,
    open: watch::Sender<bool>,
    fails: bool,
}

impl Gates {
    /// Holds calls of instances whose name begins so to paths that contain this word.
    pub fn hold(&self, caller: &'static str, path: &'static str) {
        self.add(caller, path, false);
    }

    /// Lets such calls fail as if nobody were there.
    pub fn cut(&self, caller: &'static str, path: &'static str) {
        self.add(caller, path, true);
    }

    fn add(&self, caller: &'static str, path: &'static str, fails: bool) {
        let open = watch::Sender::new(false);
        self.0.lock().push(Gate {
            caller,
            path,
            open,
            fails,
        });
    }

    /// Lets everything pass again.
    pub fn open(&self) {
        for gate in self.0.lock().drain(..) {
            gate.open.send_replace(true);
        }
    }

    fn over(&self, caller: &str, inner: Channel) -> Channel {
        let (gates, caller) = (self.clone(), caller.to_owned());
        Channel::new(tower::service_fn(move |request: http::Request<Body>| {
            let found = gates.find(&caller, request.uri().path());
            let inner = inner.clone();
            async move {
                match found {
                    Some((_, true)) => return Ok(tonic::Status::unavailable("cut").into_http()),
                    Some((mut open, false)) => drop(open.wait_for(|open| *open).await),
                    None => {}
                }
                inner.oneshot(request).await
            }
        }))
    }

    fn find(&self, caller: &str, path: &str) -> Option<(watch::Receiver<bool>, bool)> {
        let gates = self.0.lock();
        let fits = |g: &&Gate| caller.starts_with(g.caller) && path.contains(g.path);
        let gate = gates.iter().find(fits)?;
        Some((gate.open.subscribe(), gate.fails))
    }
}
