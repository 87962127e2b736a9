//! The server under test.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use gochat::embedded::Running;
use gochat_infra::rpc::Channel;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::http::Http;
use super::user::PASSWORD;
use super::{Reply, User};

/// Servers live here, not on the runtime of one test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime for the servers")
});

/// The setting with which groups of more than three members are large: fan-out is deferred to im-task.
pub const FEW_ARE_MANY: &str = "logic.pipeline.direct_max=3";

/// The setting with which every group is served by the list of its members.
pub const LISTED: &str = "logic.pipeline.fanout_members_from=1";

static SHARED: OnceCell<Running> = OnceCell::const_new();

/// A server: one of this test, the one all tests share, or the one `GOCHAT_TEST_URL` names.
pub struct Server {
    http: Http,
    own: Option<Own>,
}

/// A server that belongs to one test.
struct Own {
    running: Running,
    dir: tempfile::TempDir,
    settings: Vec<String>,
}

impl Server {
    /// The server all tests share: the defaults, except for cheap password hashes and no rate limits.
    pub async fn shared() -> Self {
        if let Some(url) = external() {
            return Self {
                http: Http::new(url),
                own: None,
            };
        }
        let running = SHARED.get_or_init(|| async {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flows-shared");
            // What an earlier run left. Nothing else uses this folder.
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).expect("a folder for the data");
            start(&dir, &[]).await
        });
        let address = running.await.addr();
        Self {
            http: Http::new(format!("http://{address}")),
            own: None,
        }
    }

    /// A server of this test's own, with some settings, `key=value`. `None` when the suite runs against a server
    /// that is up already: the test has nothing to do then.
    pub async fn with(settings: &[&str]) -> Option<Self> {
        if external().is_some() {
            return None;
        }
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let running = start(dir.path(), settings).await;
        let http = Http::new(format!("http://{}", running.addr()));
        Some(Self {
            http,
            own: Some(Own {
                running,
                dir,
                settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            }),
        })
    }

    /// Stops the server in order and starts it again on the same data, with the same settings.
    pub async fn restart(&mut self) {
        let Own {
            running,
            dir,
            settings,
        } = self.own.take().expect("a server of this test's own");
        stop(running).await;
        let refs: Vec<&str> = settings.iter().map(String::as_str).collect();
        let running = start(dir.path(), &refs).await;
        self.http = Http::new(format!("http://{}", running.addr()));
        self.own = Some(Own {
            running,
            dir,
            settings,
        });
    }

    /// The same user on this server, after a restart changed its address.
    pub fn known(&self, user: &User) -> User {
        User {
            http: self.http.clone(),
            ..user.clone()
        }
    }

    /// RPCs of im-logic. `None` for a server that isn't embedded here.
    pub fn logic(&self) -> Option<Channel> {
        self.running().map(Running::logic)
    }

    /// RPCs of im-repo. `None` for a server that isn't embedded here.
    pub fn repo(&self) -> Option<Channel> {
        self.running().map(Running::repo)
    }

    #[allow(
        dead_code,
        reason = "the kit is shared, and only one suite writes to the log itself"
    )]
    /// Its log. `None` for a server that isn't embedded here.
    pub fn log(&self) -> Option<std::sync::Arc<dyn gochat_infra::port::mq::Mq>> {
        self.running().map(Running::log)
    }

    #[allow(
        dead_code,
        reason = "the kit is shared, and only one suite signs tokens itself"
    )]
    /// What signs its tokens. `None` for a server that isn't embedded here.
    pub async fn forge(&self) -> Option<super::Forge> {
        let running = self.running()?;
        Some(super::Forge::of(running.repo(), running.jwt_secret()).await)
    }

    #[allow(
        dead_code,
        reason = "the kit is shared, and only one suite acts as an operator"
    )]
    /// What operators reach. `None` for a server that isn't embedded here.
    pub fn admin(&self) -> Option<Channel> {
        self.running().map(Running::admin)
    }

    #[allow(
        dead_code,
        reason = "the kit is shared, and only one suite looks into the folder"
    )]
    /// The data folder of a server of this test's own.
    pub fn folder(&self) -> &Path {
        self.own
            .as_ref()
            .expect("a server of this test's own")
            .dir
            .path()
    }

    #[allow(
        dead_code,
        reason = "the kit is shared, and only one suite works on a stopped server"
    )]
    /// Stops the server in order, does something with its data folder, and starts it again.
    pub async fn stopped(&mut self, work: impl AsyncFnOnce(&Path)) {
        let Own {
            running,
            dir,
            settings,
        } = self.own.take().expect("a server of this test's own");
        stop(running).await;
        work(dir.path()).await;
        let refs: Vec<&str> = settings.iter().map(String::as_str).collect();
        let running = start(dir.path(), &refs).await;
        self.http = Http::new(format!("http://{}", running.addr()));
        self.own = Some(Own {
            running,
            dir,
            settings,
        });
    }

    fn running(&self) -> Option<&Running> {
        match &self.own {
            Some(own) => Some(&own.running),
            None => SHARED.get(),
        }
    }

    /// A registered user, signed in.
    pub async fn user(&self) -> User {
        self.user_named(&fresh_name()).await
    }

    /// Several registered users.
    pub async fn users<const N: usize>(&self) -> [User; N] {
        let mut users = Vec::with_capacity(N);
        for _ in 0..N {
            users.push(self.user().await);
        }
        users
            .try_into()
            .unwrap_or_else(|_| unreachable!("as many as asked for"))
    }

    /// A registered user with this name, signed in.
    pub async fn user_named(&self, name: &str) -> User {
        let account = json!({"username": name, "password": PASSWORD});
        self.call("POST", "/auth/register", Some(account))
            .await
            .data();
        self.login(name).await
    }

    /// Another session of a registered user.
    pub async fn login(&self, name: &str) -> User {
        let account = json!({"username": name, "password": PASSWORD});
        let session = self.call("POST", "/auth/login", Some(account)).await.data();
        User::new(self.http.clone(), &session)
    }

    /// A guest.
    pub async fn guest(&self) -> User {
        let session = self.call("POST", "/auth/guest", None).await.data();
        User::new(self.http.clone(), &session)
    }

    /// A call without a token.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.http.call(method, path, None, body).await
    }

    /// The JSON client, for odd requests.
    pub fn http(&self) -> &Http {
        &self.http
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(Own { running, dir, .. }) = self.own.take() {
            RUNTIME.spawn(async move {
                // The test is over; how the stop went is the business of other tests.
                let _ = running.stop().await;
                drop(dir);
            });
        }
    }
}

fn external() -> Option<String> {
    std::env::var("GOCHAT_TEST_URL")
        .ok()
        .map(|url| url.trim_end_matches('/').to_owned())
}

async fn start(dir: &Path, settings: &[&str]) -> Running {
    if std::env::var_os("RUST_LOG").is_some() {
        // Only the first one of the process installs itself.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
    }
    let config = config(dir, settings);
    RUNTIME
        .spawn(async move {
            gochat::embedded::start(config)
                .await
                .expect("the server starts")
        })
        .await
        .expect("starting does not panic")
}

async fn stop(running: Running) {
    RUNTIME
        .spawn(async move { running.stop().await.expect("a clean stop") })
        .await
        .expect("stopping does not panic");
}

fn config(dir: &Path, settings: &[&str]) -> gochat::config::Config {
    let base = [
        format!("data_dir={}", dir.display()),
        "gateway.listen=127.0.0.1:0".to_owned(),
        "gateway.rates.disabled=true".to_owned(),
        "gateway.websocket.rate=100000".to_owned(),
        "gateway.websocket.burst=100000".to_owned(),
        "logic.limits.strangers_adds_per_day=0".to_owned(),
        // Most flows count the messages of people; those of system messages switch them on.
        "logic.limits.system_messages=false".to_owned(),
        // Reads that hold what was acknowledged are asserted once: a busy machine must not make
        // them give up.
        "repo.reads.wait_ms=5000".to_owned(),
        "logic.passwords.memory_kib=64".to_owned(),
        "logic.passwords.passes=1".to_owned(),
    ];
    let all: Vec<String> = base
        .into_iter()
        .chain(settings.iter().map(|s| (*s).to_owned()))
        .collect();
    gochat::config::Config::load(None, std::iter::empty(), &all).expect("valid settings")
}

/// A username nobody has, also on a server that is up for long.
pub fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("u{}-{n}", uuid::Uuid::now_v7().simple())
}
