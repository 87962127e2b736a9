//! A server, and what stands before it.

pub(crate) mod authority;
pub(crate) mod edge;
pub(crate) mod proxy;
pub(crate) mod stores;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use gochat::embedded::{self, Running};
use gochat_client::{Builder, Client, Connection, Credentials, Event, Events, Item, Proxy, Status};
use gochat_infra::shell::Metrics;
use tempfile::TempDir;

pub(crate) use authority::Authority;
pub(crate) use edge::Edge;
pub(crate) use proxy::ConnectProxy;

/// How long anything that must happen may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::install("gochat").expect("first"));

/// A server of one test.
pub(crate) struct Server {
    running: Running,
    _dir: TempDir,
}

impl Server {
    /// Starts a server that speaks HTTP.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts a server that speaks TLS as `host`.
    pub(crate) async fn start_tls(authority: &Authority, host: &str) -> Self {
        Self::with(Some((authority, host))).await
    }

    async fn with(tls: Option<(&Authority, &str)>) -> Self {
        LazyLock::force(&METRICS);
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut settings = vec![
            format!("data_dir={}", at("data")),
            "gateway.listen=127.0.0.1:0".to_owned(),
            "gateway.rates.disabled=true".to_owned(),
            "logic.passwords.memory_kib=64".to_owned(),
            "logic.passwords.passes=1".to_owned(),
        ];
        if let Some((authority, host)) = tls {
            let (cert, key) = authority.sign(host);
            std::fs::write(at("cert.pem"), cert).expect("written");
            std::fs::write(at("key.pem"), key).expect("written");
            settings.push(format!("gateway.tls.cert={}", at("cert.pem")));
            settings.push(format!("gateway.tls.key={}", at("key.pem")));
        }
        let config = gochat::config::Config::load(None, std::iter::empty(), &settings);
        let running = embedded::start(config.expect("valid settings")).await;
        Self {
            running: running.expect("the server starts"),
            _dir: dir,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    pub(crate) async fn stop(self) {
        soon("the end of the server", self.running.stop())
            .await
            .expect("stops cleanly");
    }
}

/// A guest at an address, whatever proxy this machine's environment names.
pub(crate) fn guest(url: &str) -> Builder {
    Client::builder(url)
        .credentials(Credentials::guest())
        .proxy(Proxy::none())
}

/// Waits for something that must come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until a client stands somewhere.
pub(crate) async fn until(
    client: &Client,
    what: &str,
    check: impl FnMut(&Status) -> bool,
) -> Status {
    let mut status = client.watch_status();
    let reached = soon(what, status.wait_for(check)).await;
    reached.expect("the client tells").clone()
}

pub(crate) async fn until_online(client: &Client) {
    until(client, "a client that is online", |s| {
        s.connection == Connection::Online
    })
    .await;
}

/// The content of the next message.
pub(crate) async fn next_message(events: &mut Events) -> String {
    let next = async {
        loop {
            match events.next().await {
                Some(Item::Event(Event::Message(message))) => return message.content,
                Some(_) => {}
                None => panic!("the client closed"),
            }
        }
    };
    soon("a message", next).await
}

/// What an error says, with its sources.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}
