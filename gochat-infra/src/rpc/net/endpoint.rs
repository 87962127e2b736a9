//! One instance: its connection, its calls in flight, and whether it deserves more of them.

mod conduct;
mod flight;
mod keep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use self::conduct::Conduct;
use self::flight::{Flight, patience};
use super::address::Address;
use super::config::ChannelConfig;
use super::connect::{Connector, Sender};
use crate::rpc::ended::{End, on_end};

/// The way to an instance.
enum Link {
    /// Nobody has called it lately: the next call opens it.
    Idle,
    /// It is being opened; calls may wait for it.
    Connecting,
    Ready(Sender),
    /// The last attempt failed, or the instance says it does not serve.
    Down,
}

impl Link {
    /// Before the first attempt, and after a connection that stood.
    fn at_rest(config: &ChannelConfig) -> Self {
        match config.idle {
            Some(_) => Self::Idle,
            None => Self::Connecting,
        }
    }
}

/// An instance of the service.
pub(super) struct Endpoint {
    pub(super) id: Arc<str>,
    pub(super) address: Address,
    service: Arc<str>,
    tls: bool,
    link: Mutex<Link>,
    conduct: Conduct,
    in_flight: AtomicUsize,
    /// When a call last began or ended, in milliseconds after `born`.
    used_ms: AtomicU64,
    born: Instant,
    /// Told after every change of the link.
    changed: Arc<Notify>,
    /// Told when a call wants the link that is idle.
    wanted: Notify,
    /// Cancelled when the instance left the registry or the channel is gone.
    stop: CancellationToken,
}

impl Endpoint {
    /// Starts to connect, or to wait for the first call.
    pub(super) fn start(
        id: Arc<str>,
        address: Address,
        connector: Arc<Connector>,
        config: &Arc<ChannelConfig>,
        changed: Arc<Notify>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let endpoint = Arc::new(Self {
            id,
            address,
            service: config.name.as_str().into(),
            tls: connector.is_tls(),
            link: Mutex::new(Link::at_rest(config)),
            conduct: Conduct::new(config),
            in_flight: AtomicUsize::new(0),
            used_ms: AtomicU64::new(0),
            born: Instant::now(),
            changed,
            wanted: Notify::new(),
            stop,
        });
        tokio::spawn(endpoint.clone().stay_connected(connector, config.clone()));
        endpoint
    }

    /// Ends the work for an instance that is gone. Calls on their way end by themselves.
    pub(super) fn retire(&self) {
        self.stop.cancel();
        self.set(Link::Down);
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(*self.link.lock(), Link::Connecting)
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(*self.link.lock(), Link::Idle)
    }

    /// Opens a link that is idle.
    pub(super) fn wake(&self) {
        let mut link = self.link.lock();
        if matches!(*link, Link::Idle) {
            *link = Link::Connecting;
            self.wanted.notify_one();
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(&*self.link.lock(), Link::Ready(sender) if !sender.is_closed())
    }

    /// Whether it may get calls as far as its conduct goes.
    pub(super) fn is_trusted(&self) -> bool {
        self.conduct.admits(self.now_ms())
    }

    pub(super) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Sends one call; `Err` gives back a request that did not leave.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Request<Body>> {
        let sender = match &*self.link.lock() {
            Link::Ready(sender) => sender.clone(),
            _ => return Err(request),
        };
        self.send_by(sender, request).await
    }

    async fn send_by(
        self: &Arc<Self>,
        mut sender: Sender,
        request: Request<Body>,
    ) -> Result<Response<Body>, Request<Body>> {
        let flight = Flight::begin(self, patience(request.headers()));
        match sender.try_send_request(self.addressed(request)).await {
            Ok(response) => Ok(on_end(response.map(Body::new), move |end| flight.land(end))),
            Err(mut failed) => match failed.take_message() {
                Some(request) => {
                    flight.unsent();
                    Err(request)
                }
                None => {
                    let cause = failed.into_error();
                    tracing::debug!(service = %self.service, address = %self.address, error = %cause, "a call broke off");
                    flight.land(End::Failed);
                    let text = format!("the connection to {} broke off", self.service);
                    Ok(tonic::Status::unavailable(text).into_http())
                }
            },
        }
    }

    /// The request with this instance as its target.
    pub(super) fn addressed(&self, mut request: Request<Body>) -> Request<Body> {
        *request.uri_mut() = self.address.uri(request.uri(), self.tls);
        request
    }

    fn set(&self, link: Link) {
        *self.link.lock() = link;
        self.changed.notify_waiters();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note_use(&self) {
        self.used_ms.store(self.now_ms(), Ordering::Relaxed);
    }
}
