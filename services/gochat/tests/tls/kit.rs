//! Certificates and a server that uses them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gochat::embedded::{self, Running};
use gochat_infra::shell::Metrics;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use tempfile::TempDir;

/// How long anything that must happen may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::install("gochat").expect("first"));

/// A server of one test, with certificate files it watches.
pub(crate) struct Server {
    running: Running,
    dir: TempDir,
    roots: RootCertStore,
}

impl Server {
    /// Starts a server with a new certificate and some settings, `key=value`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        LazyLock::force(&METRICS);
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let roots = write_certificate(&dir);
        let at = |name: &str| dir.path().join(name).display().to_string();
        let base = [
            format!("data_dir={}", at("data")),
            format!("gateway.tls.cert={}", at("cert.pem")),
            format!("gateway.tls.key={}", at("key.pem")),
            "gateway.tls.reload_seconds=1".to_owned(),
            "gateway.listen=127.0.0.1:0".to_owned(),
            "gateway.rates.disabled=true".to_owned(),
            "logic.passwords.memory_kib=64".to_owned(),
            "logic.passwords.passes=1".to_owned(),
        ];
        let all: Vec<String> = base
            .into_iter()
            .chain(settings.iter().map(|s| (*s).to_owned()))
            .collect();
        let config =
            gochat::config::Config::load(None, std::iter::empty(), &all).expect("valid settings");
        let running = embedded::start(config).await.expect("the server starts");
        Self {
            running,
            dir,
            roots,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    /// A client that believes the certificate the server started with.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client_of(rustls::ALL_VERSIONS)
    }

    /// The same, of some versions only.
    pub(crate) fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        client_config(versions, self.roots.clone())
    }

    /// Replaces the files by a new pair; gives a client that believes only that.
    pub(crate) fn new_certificate(&self) -> ClientConfig {
        client_config(rustls::ALL_VERSIONS, write_certificate(&self.dir))
    }

    /// Puts something into the certificate's file.
    pub(crate) fn spoil_certificate(&self, text: &str) {
        std::fs::write(self.file("cert.pem"), text).expect("written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Stops the server; must work whatever was done to it.
    pub(crate) async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.running.stop())
            .await
            .expect("stops in time")
            .expect("stops cleanly");
    }
}

fn write_certificate(dir: &TempDir) -> RootCertStore {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    // The key first: a look between the two writes finds a pair that doesn't match, and waits.
    std::fs::write(dir.path().join("key.pem"), signing_key.serialize_pem()).expect("written");
    std::fs::write(dir.path().join("cert.pem"), cert.pem()).expect("written");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    roots
}

/// A client of some versions.
pub(crate) fn client_config(
    versions: &[&'static rustls::SupportedProtocolVersion],
    roots: RootCertStore,
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions ring knows")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The value of a counter that must exist.
pub(crate) fn counted(line: &str) -> f64 {
    let page = METRICS.render();
    let found = page
        .lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0.0)
}

/// Waits until something holds.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
