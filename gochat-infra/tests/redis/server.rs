//! Servers for the tests.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gochat_infra::cluster::redis::{Redis, RedisConfig};
use tempfile::TempDir;

/// How long anything may take that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The server everybody shares, under a prefix nobody else has.
pub(crate) async fn shared() -> Redis {
    let url = std::env::var("GOCHAT_TEST_REDIS");
    let url = url.unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let prefix = format!("test:{:x}:", rand::random::<u64>());
    let redis = Redis::connect(RedisConfig::from_url(url).key_prefix(prefix));
    let redis = redis.await.expect("the URL is valid");
    assert!(
        redis.is_up(),
        "Redis can't be reached: start it with `make infra-up` or set GOCHAT_TEST_REDIS"
    );
    redis
}

/// A server of the test's own, to be harmed.
pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    data: TempDir,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Self {
        let port = gochat_infra::listen::free_ports(1).expect("a free port")[0];
        let mut server = Self {
            child: None,
            port,
            data: TempDir::new().expect("a folder"),
        };
        server.start_again();
        server
    }

    /// Starts it on the same port, without the data it had.
    pub(crate) fn start_again(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.data.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (`make infra-up` does it)");
        self.child = Some(child);
    }

    /// A handle that waits for answers longer than a busy machine needs.
    pub(crate) async fn connect(&self) -> Redis {
        self.connect_with(5_000).await
    }

    /// A handle with a short response timeout, for servers that are paused.
    pub(crate) async fn connect_hasty(&self) -> Redis {
        self.connect_with(1_000).await
    }

    async fn connect_with(&self, response_timeout_ms: u64) -> Redis {
        let config = RedisConfig {
            connect_timeout_ms: 2_000,
            response_timeout_ms,
            reconnect_max_ms: 100,
            ..RedisConfig::from_url(self.url())
        };
        let redis = Redis::connect(config).await.expect("the URL is valid");
        until_up(&redis).await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops the process, with what it holds; returns when none of its threads runs any more.
    ///
    /// `kill` returns when the signal was sent: the server may still answer what reaches it next.
    pub(crate) async fn pause(&self) {
        self.signal("-STOP");
        let deadline = Instant::now() + SOON;
        while !self.threads_are_stopped() {
            assert!(Instant::now() < deadline, "the server goes on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn threads_are_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).expect("it runs");
            // The state follows the name, which stands in parentheses (proc_pid_stat(5)).
            let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
            state == Some("T")
        })
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([name, &self.pid().to_string()])
            .status();
        assert!(kill.expect("kill is there").success());
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("SIGKILL");
        child.wait().expect("gone");
    }

    /// Runs a command past the adapters.
    pub(crate) async fn command(&self, words: &[&str]) {
        let client = redis::Client::open(self.url()).expect("the URL is valid");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("it runs");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let done = command.exec_async(&mut connection).await;
        done.expect("the command is valid");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Waits until the handle found its server, by itself.
pub(crate) async fn until_up(redis: &Redis) {
    let up = async { while !redis.wait_until_up().await {} };
    tokio::time::timeout(SOON, up).await.expect("it connects");
}
