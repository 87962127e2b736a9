//! A day of 1,000 clients in faked time: lost answers, doubled requests, thieves, ends of sessions,
//! im-logic and im-repo killed and started again.
//!
//! Two claims are held against every answer. Nobody is signed out who should not be: a client that
//! repeats a lost request within the minute goes on. Nobody is in who should not be: no token of an
//! ended session, and no old refresh token, ever gives anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gochat_core::error::ErrorCode;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions, Synchronous};
use gochat_infra::ids::now_ms;
use gochat_infra::port::mq::Mq;
use gochat_infra::rpc::{Channel, error_from};
use gochat_proto::im::logic::v1::auth_service_client::AuthServiceClient;
use gochat_proto::im::logic::v1::*;
use im_logic::{Api, Config, Ports};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::{Nowhere, log_in, repo_ports};

const CLIENTS: usize = 1_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// A client retries this often, in milliseconds.
const RETRY: u64 = 5_000;

/// The services, which can be killed at any await.
struct World {
    clock: Arc<AtomicU64>,
    db: Arc<SqliteDatabase>,
    mq: Arc<dyn Mq>,
    repo: Channel,
    auth: AuthServiceClient<Channel>,
    /// Until when calls fail: something is being started again.
    down_until: u64,
    random: StdRng,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    refreshed: u32,
    lost: u32,
    doubled: u32,
    thefts: u32,
    ended: u32,
    restarts: u32,
}

/// How a call ended for its caller.
enum Came<T> {
    Answer(T),
    Refusal(ErrorCode),
    /// The answer was lost, or the service was away: nobody knows what was done.
    Nothing,
}

impl World {
    async fn new(seed: u64, folder: &std::path::Path) -> Self {
        let options = SqliteOptions {
            readers: 2,
            // The kills of this test lose no file.
            synchronous: Synchronous::Normal,
            ..SqliteOptions::new(folder.join("gochat.db"))
        };
        let db = Arc::new(SqliteDatabase::open(options).unwrap());
        let mq = log_in(folder).await;
        let clock = Arc::new(AtomicU64::new(now_ms()));
        let repo = start_repo(&db).await;
        let auth = start_logic(&mq, &repo, &clock);
        Self {
            clock,
            db,
            mq,
            repo,
            auth,
            down_until: 0,
            random: StdRng::seed_from_u64(seed),
            counts: Counts::default(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn set_clock(&self, at: u64) {
        self.clock.fetch_max(at, Ordering::Relaxed);
    }

    /// Kills a service and starts it again, which takes up to 20 seconds.
    async fn restart(&mut self) {
        self.counts.restarts += 1;
        if self.random.random() {
            self.repo = start_repo(&self.db).await;
        }
        self.auth = start_logic(&self.mq, &self.repo, &self.clock);
        self.down_until = self.now() + self.random.random_range(0..20_000);
    }

    /// One request. Its answer may be lost, and it may be cut off at any await.
    async fn ask<T>(
        &mut self,
        call: impl AsyncFnOnce(AuthServiceClient<Channel>) -> Result<tonic::Response<T>, tonic::Status>,
    ) -> Came<T> {
        if self.now() < self.down_until {
            return Came::Nothing;
        }
        let call = call(self.auth.clone());
        let outcome = if self.random.random_ratio(1, 20) {
            // A kill in the middle: the caller hears nothing, whatever was written stays written.
            let patience = std::time::Duration::from_micros(self.random.random_range(1..3_000));
            match tokio::time::timeout(patience, call).await {
                Err(_) => {
                    self.counts.lost += 1;
                    return Came::Nothing;
                }
                Ok(outcome) => outcome,
            }
        } else {
            call.await
        };
        if self.random.random_ratio(1, 10) {
            self.counts.lost += 1;
            return Came::Nothing;
        }
        match outcome {
            Ok(answer) => Came::Answer(answer.into_inner()),
            Err(status) => {
                let error = error_from(&status);
                if error.is_retryable() {
                    Came::Nothing
                } else {
                    Came::Refusal(error.code)
                }
            }
        }
    }

    async fn refresh(&mut self, token: &str) -> Came<RefreshTokenResponse> {
        let request = RefreshTokenRequest {
            refresh_token: token.to_owned(),
            ..Default::default()
        };
        self.ask(async |mut auth| auth.refresh_token(request).await)
            .await
    }

    /// Whether a token opens anything; asked until somebody answers.
    async fn opens(&mut self, access_token: &str) -> bool {
        loop {
            let request = ValidateTokenRequest {
                access_token: access_token.to_owned(),
            };
            match self
                .ask(async |mut auth| auth.validate_token(request).await)
                .await
            {
                Came::Answer(verdict) => return verdict.valid,
                Came::Refusal(code) => panic!("a verdict is no refusal: {code}"),
                Came::Nothing => self.set_clock(self.now() + RETRY),
            }
        }
    }
}

async fn start_repo(db: &Arc<SqliteDatabase>) -> Channel {
    let service = im_repo::Service::bind(im_repo::Config::default(), repo_ports(db.clone()))
        .await
        .unwrap();
    Channel::in_process(service.routes())
}

fn start_logic(
    mq: &Arc<dyn Mq>,
    repo: &Channel,
    clock: &Arc<AtomicU64>,
) -> AuthServiceClient<Channel> {
    let mut config = Config::default();
    config.auth.secret = "a secret of the tests, long enough".into();
    // A thousand guests of one address would wait for budgets that go by the real clock.
    config.budgets.disabled = true;
    let ports = Ports {
        mq: Arc::clone(mq),
        repo: repo.clone(),
        signed: None,
    };
    let clock = Arc::clone(clock);
    let now = Arc::new(move || clock.load(Ordering::Relaxed));
    let api = Api::with_clock(&config, &ports, Arc::new(Nowhere::default()), now).unwrap();
    AuthServiceClient::new(Channel::in_process(api.routes()))
}

/// A client, and what a thief may have copied from it.
struct Client {
    user: String,
    access: String,
    refresh: String,
    /// Refresh tokens that the client has used up, with the time of the answer that replaced each.
    used: Vec<(String, u64)>,
    /// Whether it may expect to be let in.
    is_in: bool,
}

impl Client {
    async fn sign_in(world: &mut World) -> Self {
        loop {
            let request = GuestLoginRequest::default();
            let came = world
                .ask(async |mut auth| auth.guest_login(request).await)
                .await;
            match came {
                Came::Answer(entry) => {
                    return Self {
                        user: entry.user.unwrap().id,
                        access: entry.access_token,
                        refresh: entry.refresh_token,
                        used: Vec::new(),
                        is_in: true,
                    };
                }
                Came::Refusal(code) => panic!("a guest was refused: {code}"),
                Came::Nothing => world.set_clock(world.now() + RETRY),
            }
        }
    }

    /// Refreshes as an SDK does: again and again until there is an answer. `doubled`: a second tab
    /// sends the same token at the same time.
    async fn renew(&mut self, world: &mut World, doubled: bool) {
        let began = world.now();
        let pair = loop {
            let came = world.refresh(&self.refresh).await;
            if doubled {
                world.counts.doubled += 1;
                match world.refresh(&self.refresh).await {
                    Came::Refusal(code) => panic!("the second tab was signed out: {code}"),
                    Came::Answer(second) => {
                        if let Came::Answer(first) = &came {
                            assert_eq!(*first, second, "two tabs, two pairs");
                        }
                    }
                    Came::Nothing => {}
                }
            }
            match came {
                Came::Answer(pair) => break pair,
                Came::Refusal(code) => {
                    let waited = world.now() - began;
                    panic!("signed out by {code} after {waited} ms: {:?}", world.counts)
                }
                Came::Nothing => world.set_clock(world.now() + RETRY),
            }
        };
        world.counts.refreshed += 1;
        let old = std::mem::replace(&mut self.refresh, pair.refresh_token);
        self.used.push((old, world.now()));
        self.access = pair.access_token;
    }

    /// A thief presents a copy of an old token: it gets nothing, and the session ends.
    async fn is_robbed(&mut self, world: &mut World) {
        let Some(copy) = old_copy(&self.used, world.now()) else {
            return;
        };
        world.counts.thefts += 1;
        match world.refresh(&copy).await {
            Came::Answer(_) => panic!("a thief got in: {:?}", world.counts),
            Came::Refusal(_) => {
                self.is_in = false;
                self.is_out(world).await;
            }
            // Whether it was judged isn't known: the client finds out.
            Came::Nothing => loop {
                match world.refresh(&self.refresh).await {
                    Came::Answer(pair) => {
                        let old = std::mem::replace(&mut self.refresh, pair.refresh_token);
                        self.used.push((old, world.now()));
                        self.access = pair.access_token;
                        break;
                    }
                    Came::Refusal(_) => {
                        self.is_in = false;
                        break;
                    }
                    Came::Nothing => world.set_clock(world.now() + RETRY),
                }
            },
        }
    }

    /// Signs out, until somebody confirms it.
    async fn sign_out(&mut self, world: &mut World) {
        // A token that has expired signs nobody out.
        self.renew(world, false).await;
        world.counts.ended += 1;
        loop {
            let request = LogoutRequest {
                user_id: self.user.clone(),
                access_token: self.access.clone(),
            };
            match world.ask(async |mut auth| auth.logout(request).await).await {
                Came::Answer(_) | Came::Refusal(ErrorCode::InvalidToken) => break,
                Came::Refusal(code) => panic!("signing out was refused: {code}"),
                Came::Nothing => world.set_clock(world.now() + RETRY),
            }
        }
        self.is_in = false;
        self.is_out(world).await;
    }

    /// Nothing the client ever held opens anything.
    async fn is_out(&self, world: &mut World) {
        assert!(!world.opens(&self.access).await, "an ended session is open");
        let newest = std::iter::once(&self.refresh);
        for token in newest.chain(self.used.iter().rev().take(2).map(|(token, _)| token)) {
            if let Came::Answer(_) = world.refresh(token).await {
                panic!("an ended session was renewed: {:?}", world.counts);
            }
        }
    }
}

/// A token that is old enough for its use to be a theft: two generations, or a minute.
fn old_copy(used: &[(String, u64)], now: u64) -> Option<String> {
    let (newest, older) = used.split_last()?;
    let (token, at) = older.last().unwrap_or(newest);
    (older.last().is_some() || now > at + 2 * MINUTE).then(|| token.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_day_of_faults_nobody_is_signed_out_and_nobody_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(12, folder.path()).await;
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(Client::sign_in(&mut world).await);
    }
    let began = world.now();
    let mut steps = 0_u64;
    while world.now() < began + DAY {
        steps += 1;
        // Some 3 requests a minute: each client about every 5 hours, in no order.
        let pause = world.random.random_range(0..40_000);
        world.set_clock(world.now() + pause);
        if world.random.random_ratio(1, 150) {
            world.restart().await;
        }
        let at = world.random.random_range(0..CLIENTS);
        let client = &mut clients[at];
        if !client.is_in {
            client.is_out(&mut world).await;
            *client = Client::sign_in(&mut world).await;
            continue;
        }
        match world.random.random_range(0..100) {
            0..=1 => client.is_robbed(&mut world).await,
            2..=3 => client.sign_out(&mut world).await,
            4..=20 => client.renew(&mut world, true).await,
            _ => client.renew(&mut world, false).await,
        }
    }
    for client in &clients {
        if client.is_in {
            // Idle for up to a day: the row still lets it in.
            let token = client.refresh.clone();
            let came = world.refresh(&token).await;
            assert!(!matches!(came, Came::Refusal(_)), "signed out while idle");
        } else {
            client.is_out(&mut world).await;
        }
    }
    let counts = &world.counts;
    println!("{steps} steps: {counts:?}");
    assert!(counts.refreshed > 2_000 && counts.lost > 300, "{counts:?}");
    assert!(counts.doubled > 300 && counts.restarts > 10, "{counts:?}");
    assert!(counts.thefts > 15 && counts.ended > 30, "{counts:?}");
}
