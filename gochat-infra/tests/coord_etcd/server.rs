//! The etcd of `make infra-up`, and etcds of our own that may be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::{Client, GetOptions};
use gochat_infra::cluster::etcd::{EtcdConfig, EtcdCoord};
use gochat_infra::listen::free_ports;
use tempfile::TempDir;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(what, asking).await;
}

/// A namespace of its own on the shared etcd.
pub(crate) fn shared() -> (EtcdConfig, Raw) {
    let url = std::env::var("GOCHAT_TEST_ETCD").unwrap_or("http://127.0.0.1:2379".into());
    (config(&url), Raw(url))
}

pub(crate) fn config(url: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![url.to_owned()],
        namespace: format!("/gochat-test-{:016x}", rand_suffix()),
        connect_wait_ms: 30_000,
        request_timeout_ms: 10_000,
        dial_timeout_ms: 5_000,
        registry_grace_ms: 20_000,
        ..EtcdConfig::default()
    }
}

fn rand_suffix() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

pub(crate) async fn connect(config: EtcdConfig) -> EtcdCoord {
    match EtcdCoord::connect(config).await {
        Ok(coord) => coord,
        Err(error) => panic!("no etcd, start it with `make infra-up`: {error}"),
    }
}

/// A plain client, for doing what others do.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) String);

impl Raw {
    pub(crate) async fn client(&self) -> Client {
        Box::pin(Client::connect([&self.0], None)).await.unwrap()
    }

    /// Somebody else takes everything below a prefix that hangs on a lease, and gives it back at once.
    pub(crate) fn rob(&self, prefix: &str) {
        let robbery = async {
            let mut client = self.client().await;
            let all = GetOptions::new().with_prefix();
            let found = client.get(prefix, Some(all)).await.unwrap();
            for kv in found.kvs().iter().filter(|kv| kv.lease() != 0) {
                client.put(kv.key(), "a thief", None).await.unwrap();
                client.delete(kv.key(), None).await.unwrap();
            }
        };
        // From a thread: the suite calls this within a runtime.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.unwrap().block_on(robbery);
            });
        });
    }

    pub(crate) async fn has(&self, key: &str) -> bool {
        let found = self.client().await.get(key, None).await;
        found.is_ok_and(|found| !found.kvs().is_empty())
    }
}

/// An etcd that belongs to one test.
pub(crate) struct OwnEtcd {
    child: Option<Child>,
    data: TempDir,
    port: u16,
    peer: u16,
    more: Vec<String>,
}

impl OwnEtcd {
    pub(crate) async fn start() -> Self {
        let etcd = Self::start_with("http", Vec::new()).await;
        // An etcd that is killed in the first milliseconds of its life comes back without a leader, for ever: that is
        // not what these tests are about.
        let raw = etcd.raw();
        until("etcd has a leader", || async {
            let mut client = raw.client().await;
            client.put("/first", "", None).await.is_ok()
        })
        .await;
        etcd
    }

    pub(crate) async fn start_with(scheme: &str, more: Vec<String>) -> Self {
        let ports = free_ports(2).unwrap();
        let mut etcd = Self {
            child: None,
            data: TempDir::new().unwrap(),
            port: ports[0],
            peer: ports[1],
            more,
        };
        let client = format!("{scheme}://127.0.0.1:{}", etcd.port);
        etcd.more
            .extend(["--listen-client-urls".into(), client.clone()]);
        etcd.more.extend(["--advertise-client-urls".into(), client]);
        etcd.revive().await;
        etcd
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw(self.url())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Forgets everything. Only while it is dead.
    pub(crate) fn wipe(&mut self) {
        assert!(self.child.is_none());
        std::fs::remove_dir_all(self.data_dir()).unwrap();
    }

    fn data_dir(&self) -> std::path::PathBuf {
        Path::join(self.data.path(), "etcd")
    }

    /// Starts it (again) and waits until it listens.
    pub(crate) async fn revive(&mut self) {
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let child = Command::new("etcd")
            .env_remove("ETCD_DATA_DIR")
            .args(["--name", "test", "--data-dir"])
            .arg(self.data_dir())
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("no program called etcd, `make infra-up` installs it: {error}")
        });
        self.child = Some(child);
        let address = ("127.0.0.1", self.port);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "etcd ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for OwnEtcd {
    fn drop(&mut self) {
        self.kill();
    }
}
