//! How to reach MySQL.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, SslOpts};
use serde::{Deserialize, Serialize};

use crate::port::db::{DbError, DbResult};

/// Where MySQL or MariaDB is, how many connections to hold, and how long to wait.
///
/// Neither `Debug` nor serialization shows a secret.
///
/// ```
/// use gochat_infra::cluster::mysql::MysqlConfig;
/// let config = MysqlConfig::from_url("mysql://gochat:hush@127.0.0.1:3306/gochat_dev");
/// assert!(!format!("{config:?}").contains("hush"));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MysqlConfig {
    /// `mysql://user:password@host:port/name`. When set, it stands for the five fields below.
    #[serde(skip_serializing)]
    pub url: Option<String>,
    /// Host name or address. Default localhost.
    pub host: String,
    /// Default 3306.
    pub port: u16,
    /// Default root.
    pub user: String,
    /// Password; belongs into the environment.
    #[serde(skip_serializing)]
    pub password: Option<String>,
    /// Database. Default `im_repo`.
    pub name: String,
    /// Creates the database when it isn't there. Default false.
    pub create_database: bool,
    /// `host:port` of read replicas; user, password and database are those of the primary.
    ///
    /// Reads that may be a little late go there: history, members, friends and searches. Somebody's
    /// reads still see what this process wrote before, but not necessarily what another process
    /// wrote within the last `replica_max_lag_ms`.
    pub replicas: Vec<String>,
    /// Replicas that are further behind are left out, in milliseconds. Default 1,000.
    pub replica_max_lag_ms: u64,
    /// Most connections to the primary. Default 16.
    pub max_connections: usize,
    /// Most connections to each replica. Default 16.
    pub replica_max_connections: usize,
    /// A connection that was idle for longer is replaced, in milliseconds; below the server's
    /// `wait_timeout`. Default 240,000.
    pub idle_timeout_ms: u64,
    /// Milliseconds until an attempt to connect is given up. Default 3,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds that a call waits for a free connection. Default 3,000.
    pub acquire_timeout_ms: u64,
    /// Milliseconds until a call on a connection is given up. Default 15,000.
    pub call_timeout_ms: u64,
    /// Seconds that a statement waits for a row another transaction holds. Default 5.
    pub lock_timeout_s: u32,
    /// Attempts of a call that met a deadlock, a lost connection or a primary that turned
    /// read-only. Default 5.
    pub attempts: u32,
    /// Encryption.
    pub tls: MysqlTls,
}

/// Encryption of the connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MysqlTls {
    /// Connects only encrypted. Default false.
    pub enabled: bool,
    /// Certificates (PEM) of those who may sign the server's; none means the public ones.
    pub ca_file: Option<PathBuf>,
    /// Name that the server's certificate must carry, when it isn't `host`.
    pub server_name: Option<String>,
    /// Own certificate (PEM), for servers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its key (PKCS #1, PEM).
    pub key_file: Option<PathBuf>,
}

impl Default for MysqlConfig {
    fn default() -> Self {
        Self {
            url: None,
            host: "localhost".to_owned(),
            port: 3306,
            user: "root".to_owned(),
            password: None,
            name: "im_repo".to_owned(),
            create_database: false,
            replicas: Vec::new(),
            replica_max_lag_ms: 1_000,
            max_connections: 16,
            replica_max_connections: 16,
            idle_timeout_ms: 240_000,
            connect_timeout_ms: 3_000,
            acquire_timeout_ms: 3_000,
            call_timeout_ms: 15_000,
            lock_timeout_s: 5,
            attempts: 5,
            tls: MysqlTls::default(),
        }
    }
}

impl fmt::Debug for MysqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |set: bool| if set { "set" } else { "not set" };
        f.debug_struct("MysqlConfig")
            .field("url", &secret(self.url.is_some()))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("password", &secret(self.password.is_some()))
            .field("name", &self.name)
            .field("create_database", &self.create_database)
            .field("replicas", &self.replicas)
            .field("replica_max_lag_ms", &self.replica_max_lag_ms)
            .field("max_connections", &self.max_connections)
            .field("replica_max_connections", &self.replica_max_connections)
            .field("idle_timeout_ms", &self.idle_timeout_ms)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("acquire_timeout_ms", &self.acquire_timeout_ms)
            .field("call_timeout_ms", &self.call_timeout_ms)
            .field("lock_timeout_s", &self.lock_timeout_s)
            .field("attempts", &self.attempts)
            .field("tls", &self.tls)
            .finish()
    }
}

/// A number of milliseconds from the settings, never 0.
pub(super) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms.max(1))
}

impl MysqlConfig {
    /// The defaults with this URL.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// The primary, as the driver wants it.
    pub(super) fn primary(&self) -> DbResult<Opts> {
        let builder = match &self.url {
            Some(url) => OptsBuilder::from_opts(parse(url)?),
            None => OptsBuilder::default()
                .ip_or_hostname(&self.host)
                .tcp_port(self.port)
                .user(Some(&self.user))
                .pass(self.password.as_ref())
                .db_name(Some(&self.name)),
        };
        Ok(self.finish(builder))
    }

    /// The replicas, as the driver wants them.
    pub(super) fn replica_opts(&self) -> DbResult<Vec<Opts>> {
        let primary = self.primary()?;
        let of = |address: &String| {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "3306"));
            let port: u16 = port.parse().map_err(|_| {
                DbError::internal(format!("a replica's address is not host:port: {address}"))
            })?;
            let builder = OptsBuilder::from_opts(primary.clone());
            Ok(builder.ip_or_hostname(host).tcp_port(port).into())
        };
        self.replicas.iter().map(of).collect()
    }

    fn finish(&self, builder: OptsBuilder) -> Opts {
        builder
            .ssl_opts(self.tls.options())
            // The driver would go around by a Unix socket: another path than the one configured.
            .prefer_socket(false)
            .tcp_nodelay(true)
            // diesel-async has a cache of its own, and counts matched rows.
            .stmt_cache_size(0)
            .client_found_rows(true)
            .into()
    }
}

impl MysqlTls {
    fn options(&self) -> Option<SslOpts> {
        if !self.enabled {
            return None;
        }
        let mut options =
            SslOpts::default().with_danger_tls_hostname_override(self.server_name.clone());
        if let Some(file) = &self.ca_file {
            options = options
                .with_root_certs(vec![file.clone().into()])
                .with_disable_built_in_roots(true);
        }
        if let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) {
            let identity =
                mysql_async::ClientIdentity::new(cert.clone().into(), key.clone().into());
            options = options.with_client_identity(Some(identity));
        }
        Some(options)
    }
}

/// The driver's complaint names what is wrong and never repeats the URL.
fn parse(url: &str) -> DbResult<Opts> {
    Opts::from_url(url)
        .map_err(|e| DbError::internal(format!("the URL of MySQL can't be used: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let config = MysqlConfig {
            password: Some("hunter2".into()),
            ..MysqlConfig::from_url("mysql://gochat:hunter2@db:3307/chat")
        };
        assert!(!format!("{config:?}").contains("hunter2"));
        let text = serde_json::to_string(&config).expect("it serializes");
        assert!(!text.contains("hunter2"));
        let broken = MysqlConfig::from_url("hunter2://hunter2");
        let error = broken.primary().expect_err("no such scheme").to_string();
        assert!(!error.contains("://hunter2"), "{error}");
    }

    #[test]
    fn a_url_stands_for_the_fields_and_replicas_differ_in_their_address() {
        let config = MysqlConfig {
            replicas: vec!["r1:3310".into(), "r2".into()],
            ..MysqlConfig::from_url("mysql://gochat:hush@db:3307/chat")
        };
        let primary = config.primary().expect("a good URL");
        assert_eq!((primary.ip_or_hostname(), primary.tcp_port()), ("db", 3307));
        assert_eq!(
            (primary.pass(), primary.db_name()),
            (Some("hush"), Some("chat"))
        );
        let replicas = config.replica_opts().expect("good addresses");
        assert_eq!(
            (replicas[0].ip_or_hostname(), replicas[0].tcp_port()),
            ("r1", 3310)
        );
        assert_eq!(
            (replicas[1].tcp_port(), replicas[1].pass()),
            (3306, Some("hush"))
        );
    }
}
