//! One instance: its connection, its calls in flight, and whether it deserves more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::breaker::{Breaker, Outcome, Policy, State, Ticket};
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::address::Address;
use super::config::ChannelConfig;
use super::connect::{BoxError, Connector, Sender};
use super::health;
use crate::rpc::Backoff;
use crate::rpc::ended::{End, on_end};
use crate::rpc::layer::deadline;

/// A call that was given up after this long without an answer, or shortly before its deadline if that is sooner, speaks
/// against the instance.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection that stood this long is tried again at once when it ends.
const STOOD: Duration = Duration::from_secs(5);

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

/// Its record of failures.
struct Conduct {
    breaker: Breaker,
    /// How often it was ejected since it last did well.
    ejections: u32,
}

/// An instance of the service.
pub(super) struct Endpoint {
    pub(super) id: Arc<str>,
    pub(super) address: Address,
    service: Arc<str>,
    tls: bool,
    link: Mutex<Link>,
    conduct: Mutex<Conduct>,
    in_flight: AtomicUsize,
    /// When a call last began or ended, in milliseconds after `born`.
    used_ms: AtomicU64,
    born: Instant,
    limits: Limits,
    /// Told after every change of the link.
    changed: Arc<Notify>,
    /// Told when a call wants the link that is idle.
    wanted: Notify,
    /// Cancelled when the instance left the registry or the channel is gone.
    stop: CancellationToken,
}

/// The part of the configuration that calls need.
#[derive(Clone, Copy)]
struct Limits {
    eject_after: u32,
    eject_ms: u64,
    eject_max_ms: u64,
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
            conduct: Mutex::new(Conduct {
                breaker: Breaker::default(),
                ejections: 0,
            }),
            in_flight: AtomicUsize::new(0),
            used_ms: AtomicU64::new(0),
            born: Instant::now(),
            limits: Limits {
                eject_after: config.eject_after.max(1),
                eject_ms: config.eject_ms,
                eject_max_ms: config.eject_max_ms,
            },
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
        let conduct = self.conduct.lock();
        let policy = self.limits.policy(conduct.ejections);
        conduct.breaker.admits(policy, self.now_ms())
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

    /// Connects, and again after every end or when a call wants it, until the instance is gone.
    async fn stay_connected(
        self: Arc<Self>,
        connector: Arc<Connector>,
        config: Arc<ChannelConfig>,
    ) {
        let pause = Duration::from_millis(config.reconnect_ms);
        let mut backoff = Backoff::new(pause, Duration::from_millis(config.reconnect_max_ms));
        let mut complained = false;
        loop {
            // Again when it was woken earlier, while it was not waiting here.
            while self.is_idle() {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.wanted.notified() => {}
                }
            }
            let started = Instant::now();
            let ended = tokio::select! {
                () = self.stop.cancelled() => return,
                ended = self.hold(&connector, &config) => ended,
            };
            match ended {
                Ok(why) => {
                    tracing::info!(service = %self.service, id = %self.id, address = %self.address, why, "disconnected");
                    complained = false;
                }
                Err(error) if !complained => {
                    tracing::warn!(service = %self.service, id = %self.id, address = %self.address, error, "can't connect");
                    complained = true;
                }
                Err(_) => {}
            }
            let stood = started.elapsed() >= STOOD || config.idle.is_some();
            if stood && self.was_ready() {
                backoff.reset();
                self.set(Link::at_rest(&config));
                continue;
            }
            self.set(Link::Down);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(backoff.next_delay()) => {}
            }
            if config.idle.is_some() {
                self.set(Link::Idle);
            }
        }
    }

    fn was_ready(&self) -> bool {
        matches!(*self.link.lock(), Link::Ready(_))
    }

    /// Waits until there was no call for this long.
    async fn unused(&self, idle: Option<Duration>) {
        let Some(idle) = idle else {
            return std::future::pending().await;
        };
        loop {
            let used = Duration::from_millis(self.used_ms.load(Ordering::Relaxed));
            let left = (used + idle).saturating_sub(self.born.elapsed());
            if left.is_zero() && self.load() == 0 {
                return;
            }
            sleep(left.max(Duration::from_millis(100))).await;
        }
    }

    fn note_use(&self) {
        self.used_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Connects and holds the connection until it ends; gives why it did.
    async fn hold(
        &self,
        connector: &Connector,
        config: &ChannelConfig,
    ) -> Result<&'static str, String> {
        let opened = async {
            let (sender, connection) = connector.connect(&self.address).await?;
            // On its own: calls on their way go on when this instance leaves the registry.
            let connection = tokio::spawn(connection);
            let serves = !config.health || health::serves(self, &sender).await;
            Ok::<_, BoxError>((sender, connection, serves))
        };
        let (sender, mut connection, mut serves) = timeout(config.connect_timeout(), opened)
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| causes(&*error))?;
        if !serves {
            return Err("it says it does not serve".to_owned());
        }
        tracing::info!(service = %self.service, id = %self.id, address = %self.address, "connected");
        self.note_use();
        self.set(Link::Ready(sender.clone()));
        let check = Duration::from_millis(config.health_ms.max(1));
        loop {
            tokio::select! {
                _ = &mut connection => return Ok("it ended"),
                () = self.unused(config.idle) => return Ok("nobody needs it"),
                () = sleep(check), if config.health => {
                    let well = health::serves(self, &sender).await;
                    if well != serves {
                        tracing::info!(service = %self.service, id = %self.id, well, "its health changed");
                        let link = if well { Link::Ready(sender.clone()) } else { Link::Down };
                        self.set(link);
                        serves = well;
                    }
                }
            }
        }
    }
}

/// An error with its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Limits {
    /// Each further ejection lasts twice as long.
    fn policy(self, ejections: u32) -> Policy {
        let doubled = self
            .eject_ms
            .saturating_mul(1 << ejections.saturating_sub(1).min(16));
        Policy {
            failure_threshold: self.eject_after,
            success_threshold: 1,
            open_ms: doubled.min(self.eject_max_ms),
        }
    }
}

/// How long a call may wait before giving it up says something about the instance.
fn patience(headers: &HeaderMap) -> Duration {
    // A deadline, unlike a caller who loses interest, ends a call when all of its time is over.
    let deadline = deadline::given(headers).map(|limit| limit * 9 / 10);
    deadline.map_or(PATIENCE, |deadline| deadline.min(PATIENCE))
}

/// A call on its way.
struct Flight {
    endpoint: Arc<Endpoint>,
    ticket: Option<Ticket>,
    began: Instant,
    patience: Duration,
}

impl Flight {
    /// A call without a ticket goes to an ejected instance because there is no other: it is not judged.
    fn begin(endpoint: &Arc<Endpoint>, patience: Duration) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        endpoint.note_use();
        let now = endpoint.now_ms();
        let mut conduct = endpoint.conduct.lock();
        let policy = endpoint.limits.policy(conduct.ejections);
        Self {
            ticket: conduct.breaker.admit(policy, now),
            endpoint: endpoint.clone(),
            began: Instant::now(),
            patience,
        }
    }

    fn land(mut self, end: End) {
        match end {
            End::Dropped => self.give_up(),
            End::Failed => self.judge(Outcome::Failure, self.endpoint.limits.eject_after),
            // INTERNAL and RESOURCE_EXHAUSTED would come from any other instance as well.
            End::Status {
                code: tonic::Code::Unavailable,
                ..
            } => self.judge(Outcome::Failure, self.endpoint.limits.eject_after),
            End::Status { .. } => self.judge(Outcome::Success, 1),
        }
    }

    fn unsent(mut self) {
        self.judge(Outcome::Abandoned, 1);
    }

    /// Without an answer. One that took all the time there was is enough to look elsewhere: each further one would
    /// cost somebody as much.
    fn give_up(&mut self) {
        let outcome = if self.began.elapsed() >= self.patience {
            Outcome::Failure
        } else {
            Outcome::Abandoned
        };
        self.judge(outcome, 1);
    }

    /// Records how the call went; `threshold` failures in a row eject the instance.
    fn judge(&mut self, outcome: Outcome, threshold: u32) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let endpoint = &self.endpoint;
        let now = endpoint.now_ms();
        let mut conduct = endpoint.conduct.lock();
        let policy = Policy {
            failure_threshold: threshold,
            ..endpoint.limits.policy(conduct.ejections)
        };
        match conduct.breaker.record(ticket, outcome, policy, now) {
            Some(State::Open) => {
                conduct.ejections = conduct.ejections.saturating_add(1);
                tracing::warn!(service = %endpoint.service, id = %endpoint.id, address = %endpoint.address,
                    times = conduct.ejections, "ejected: its calls fail");
            }
            Some(State::Closed) => {
                conduct.ejections = 0;
                tracing::info!(service = %endpoint.service, id = %endpoint.id, "back after an ejection");
            }
            _ => {}
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.give_up();
        self.endpoint.note_use();
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
