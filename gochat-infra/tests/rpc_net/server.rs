//! A service that says which instance answered, and does what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::port::coord::Instance;
use gochat_infra::rpc::{
    Channel, ChannelConfig, ServerConfig, Services, error_from, serve, status_from, trace,
};
use gochat_proto::im::gateway::v1::pusher_service_client::PusherServiceClient;
use gochat_proto::im::gateway::v1::pusher_service_server::{PusherService, PusherServiceServer};
use gochat_proto::im::gateway::v1::{PushToUsersRequest, PushToUsersResponse};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("in vain: {what}"),
    }
}

/// Asks again and again until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, asking).await;
}

/// What instances can be told to do.
#[derive(Default)]
pub(crate) struct Mood {
    /// Answers `UNAVAILABLE`.
    pub(crate) failing: AtomicBool,
    /// Never answers.
    pub(crate) hanging: AtomicBool,
    /// Refuses as a full conversation does.
    pub(crate) full: AtomicBool,
}

struct Named {
    name: String,
    mood: Arc<Mood>,
}

#[tonic::async_trait]
impl PusherService for Named {
    async fn push_to_users(
        &self,
        request: Request<PushToUsersRequest>,
    ) -> Result<Response<PushToUsersResponse>, Status> {
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        if is(&self.mood.hanging) {
            std::future::pending::<()>().await;
        }
        if is(&self.mood.failing) {
            return Err(Status::unavailable("told to"));
        }
        if is(&self.mood.full) {
            return Err(status_from(&Error::from(ErrorCode::ConversationFull)));
        }
        let timeout = request.metadata().get("grpc-timeout");
        let timeout = timeout.map_or("", |value| value.to_str().unwrap());
        Ok(Response::new(PushToUsersResponse {
            delivered_user_ids: vec![self.name.clone()],
            offline_user_ids: vec![trace::current().unwrap().to_string(), timeout.to_owned()],
            failed: Vec::new(),
        }))
    }
}

/// An instance with a runtime of its own, so that it can be killed.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    pub(crate) mood: Arc<Mood>,
    stop: CancellationToken,
    ended: mpsc::Receiver<()>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, ServerConfig::default(), |services| services)
    }

    /// Starts an instance where a dead one was.
    pub(crate) fn restart(&self) -> Self {
        assert!(self.runtime.is_none());
        let config = ServerConfig::default();
        Self::start_at(self.addr, &self.name, config, |services| services)
    }

    pub(crate) fn start_with(
        name: &str,
        config: ServerConfig,
        dress: impl FnOnce(Services) -> Services,
    ) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), name, config, dress)
    }

    fn start_at(
        addr: SocketAddr,
        name: &str,
        config: ServerConfig,
        dress: impl FnOnce(Services) -> Services,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // Bound the plain way: a test calls this within a runtime.
        let listener = std::net::TcpListener::bind(addr).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let mood = Arc::new(Mood::default());
        let named = Named {
            name: name.to_owned(),
            mood: mood.clone(),
        };
        let services = dress(Services::new(Routes::new(PusherServiceServer::new(named))));
        let stop = CancellationToken::new();
        let (end, ended) = mpsc::channel();
        let shutdown = stop.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, services, config, shutdown).await.unwrap();
            let _ = end.send(());
        });
        Self {
            name: name.to_owned(),
            addr,
            mood,
            stop,
            ended,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn instance(&self) -> Instance {
        Instance {
            id: self.name.clone(),
            name: "im-test".to_owned(),
            address: self.addr.ip().to_string(),
            port: self.addr.port(),
            metadata: BTreeMap::new(),
        }
    }

    /// Its sockets close in the middle of whatever they do.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Stops in order, and waits until that is done.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::task::spawn_blocking(move || {
            self.ended.recv_timeout(PATIENCE).unwrap();
            drop(self);
        });
        stopped.await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Small delays, so that tests are quick.
pub(crate) fn config() -> ChannelConfig {
    ChannelConfig {
        deadline_ms: 5_000,
        eject_ms: 100,
        health_ms: 50,
        reconnect_ms: 20,
        ..ChannelConfig::new("im-test")
    }
}

/// One call: the answer, whole.
pub(crate) async fn ask(channel: &Channel) -> Result<PushToUsersResponse, Status> {
    let mut client = PusherServiceClient::new(channel.clone());
    let answer = client.push_to_users(PushToUsersRequest::default()).await;
    answer.map(Response::into_inner)
}

/// One call: who answered.
pub(crate) async fn who(channel: &Channel) -> Result<String, Error> {
    let answer = ask(channel).await.map_err(|status| error_from(&status))?;
    Ok(answer.delivered_user_ids[0].clone())
}
