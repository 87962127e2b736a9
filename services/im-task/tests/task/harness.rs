//! Stand-ins at the edges: an im-repo that can be cut off, gateways that remember.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::SnowflakeIds;
use gochat_infra::rpc::Channel;
use gochat_proto::im::gateway::v1::pusher_service_server::{PusherService, PusherServiceServer};
use gochat_proto::im::gateway::v1::{PushToUsersRequest, PushToUsersResponse};
use im_task::Pushers;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

/// Every wait ends by then; nothing waits that long when the code is right.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Waits until `probe` has an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Cuts off, or refuses, calls whose path contains one of its words.
#[derive(Clone, Default)]
pub(crate) struct Cut(Arc<Mutex<Vec<(&'static str, tonic::Code)>>>);

impl Cut {
    pub(crate) fn off(&self, path: &'static str) {
        self.0.lock().push((path, tonic::Code::Unavailable));
    }

    /// Answers such calls as one that can never succeed.
    pub(crate) fn refuse(&self, path: &'static str) {
        self.0.lock().push((path, tonic::Code::InvalidArgument));
    }

    pub(crate) fn heal(&self) {
        self.0.lock().clear();
    }

    pub(crate) fn over(&self, inner: Channel) -> Channel {
        let cut = self.0.clone();
        Channel::new(tower::service_fn(move |request: http::Request<Body>| {
            let away = cut
                .lock()
                .iter()
                .find(|(word, _)| request.uri().path().contains(word))
                .map(|(_, code)| *code);
            let inner = inner.clone();
            async move {
                if let Some(code) = away {
                    return Ok(tonic::Status::new(code, "cut off").into_http());
                }
                inner.oneshot(request).await
            }
        }))
    }
}

/// A real im-repo on a database in `folder`.
pub(crate) async fn repo(folder: &std::path::Path) -> Channel {
    let options = SqliteOptions {
        readers: 2,
        ..SqliteOptions::new(folder.join("gochat.db"))
    };
    let ports = im_repo::Ports {
        db: Arc::new(SqliteDatabase::open(options).unwrap()),
        cache: Arc::new(MemoryCache::new(4 << 20)),
        presence: Arc::new(MemoryPresence::new()),
        once: Arc::new(MemoryOnce::new(1_000)),
        counters: Arc::new(MemoryCounters::new(1_000)),
        limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 1_000)),
        ids: Arc::new(SnowflakeIds::new(1, CancellationToken::new()).unwrap()),
    };
    let service = im_repo::Service::bind(im_repo::Config::default(), ports)
        .await
        .unwrap();
    Channel::in_process(service.routes())
}

/// A gateway that writes down what it is told.
#[derive(Clone, Default)]
pub(crate) struct Gateway {
    told: Arc<Mutex<Vec<PushToUsersRequest>>>,
}

impl Gateway {
    pub(crate) fn told(&self) -> Vec<PushToUsersRequest> {
        self.told.lock().clone()
    }
}

#[tonic::async_trait]
impl PusherService for Gateway {
    async fn push_to_users(
        &self,
        request: tonic::Request<PushToUsersRequest>,
    ) -> Result<tonic::Response<PushToUsersResponse>, tonic::Status> {
        let request = request.into_inner();
        let delivered_user_ids = request.target_user_ids.clone();
        self.told.lock().push(request);
        Ok(tonic::Response::new(PushToUsersResponse {
            delivered_user_ids,
            ..Default::default()
        }))
    }
}

/// Gateways by name; `cut` words are gateway names here.
#[derive(Clone, Default)]
pub(crate) struct Gateways {
    pub(crate) all: BTreeMap<&'static str, Gateway>,
    pub(crate) down: Arc<Mutex<Vec<&'static str>>>,
}

impl Gateways {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let all = names
            .iter()
            .map(|name| (*name, Gateway::default()))
            .collect();
        Self {
            all,
            down: Arc::default(),
        }
    }
}

impl Pushers for Gateways {
    fn gateway(&self, gateway_id: &str) -> Option<Channel> {
        let gateway = self.all.get(gateway_id)?;
        if self.down.lock().contains(&gateway_id) {
            return Some(Channel::unavailable("this gateway is down"));
        }
        let server = PusherServiceServer::new(gateway.clone());
        Some(Channel::in_process(tonic::service::Routes::new(server)))
    }

    fn any(&self) -> Option<Channel> {
        self.gateway("g1")
    }
}
