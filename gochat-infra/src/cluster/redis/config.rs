//! How to reach Redis.

use std::fmt;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use serde::{Deserialize, Serialize};

/// Where Redis is, what keys begin with, and how long to wait for it.
///
/// Neither `Debug` nor serialization shows a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://[user][:password@]host[:port][/db]` or `redis+unix:///path`. When set, it stands for
    /// `host`, `port` and `db`; a user or password it leaves out is taken from the fields.
    #[serde(skip_serializing)]
    pub url: Option<String>,
    /// Host name or address. Default localhost.
    pub host: String,
    /// Default 6379.
    pub port: u16,
    /// Database number. Default 0.
    pub db: i64,
    /// User of an access list; none means Redis' default user.
    pub username: Option<String>,
    /// Password; belongs into the environment.
    #[serde(skip_serializing)]
    pub password: Option<String>,
    /// What every key begins with; a missing `:` is added. Default `dev:`, in production `gochat:`.
    pub key_prefix: String,
    /// Milliseconds until an attempt to connect is given up. Default 2,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds until a call without an answer is given up. Default 1,000.
    pub response_timeout_ms: u64,
    /// Longest pause between two attempts to reconnect, in milliseconds. Default 1,000.
    pub reconnect_max_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: None,
            host: "localhost".to_owned(),
            port: 6379,
            db: 0,
            username: None,
            password: None,
            key_prefix: "dev:".to_owned(),
            connect_timeout_ms: 2_000,
            response_timeout_ms: 1_000,
            reconnect_max_ms: 1_000,
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |set: bool| if set { "set" } else { "not set" };
        f.debug_struct("RedisConfig")
            .field("url", &secret(self.url.is_some()))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("db", &self.db)
            .field("username", &self.username)
            .field("password", &secret(self.password.is_some()))
            .field("key_prefix", &self.key_prefix)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("response_timeout_ms", &self.response_timeout_ms)
            .field("reconnect_max_ms", &self.reconnect_max_ms)
            .finish()
    }
}

impl RedisConfig {
    /// The defaults with this URL.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// Sets what every key begins with.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// What keys begin with: empty, or ending in a colon.
    pub(super) fn prefix(&self) -> String {
        let mut prefix = self.key_prefix.clone();
        if !prefix.is_empty() && !prefix.ends_with(':') {
            prefix.push(':');
        }
        prefix
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    pub(super) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms.max(1))
    }

    pub(super) fn reconnect_max(&self) -> Duration {
        Duration::from_millis(self.reconnect_max_ms.max(1))
    }

    /// The settings as the client library wants them.
    pub(super) fn connection_info(&self) -> Result<ConnectionInfo> {
        let info = match &self.url {
            Some(url) => url.as_str().into_connection_info(),
            None => ConnectionAddr::Tcp(self.host.clone(), self.port).into_connection_info(),
        };
        // The library's sentence names what is wrong and never repeats the URL.
        let info = info.map_err(|error| {
            Error::new(
                ErrorCode::InvalidParams,
                format!("The settings of Redis can't be used: {error}."),
            )
        })?;
        let mut login = info.redis_settings().clone();
        if self.url.is_none() {
            login = login.set_db(self.db);
        }
        if let (None, Some(username)) = (login.username(), &self.username) {
            login = login.set_username(username);
        }
        if let (None, Some(password)) = (login.password(), &self.password) {
            login = login.set_password(password);
        }
        Ok(info
            .set_redis_settings(login)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let config = RedisConfig {
            password: Some("hunter2".into()),
            ..RedisConfig::from_url("redis://:hunter3@localhost")
        };
        let shown = format!(
            "{config:?}{}",
            serde_json::to_string(&config).expect("serializes")
        );
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_url_is_completed_by_the_other_fields() {
        let config = RedisConfig {
            password: Some("secret".into()),
            db: 7,
            ..RedisConfig::from_url("redis://cache.example:7000/3")
        };
        let info = config.connection_info().expect("valid");
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.redis_settings().password(), Some("secret"));
        let config = RedisConfig {
            url: None,
            ..config
        };
        assert_eq!(
            config
                .connection_info()
                .expect("valid")
                .redis_settings()
                .db(),
            7
        );
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_it() {
        let refused = RedisConfig::from_url("http://:hunter2@x").connection_info();
        let error = refused.expect_err("no Redis URL");
        assert_eq!(error.code, ErrorCode::InvalidParams);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_prefix_ends_in_a_colon() {
        let prefix = |text: &str| RedisConfig::default().key_prefix(text).prefix();
        assert_eq!([prefix("a"), prefix("a:"), prefix("")], ["a:", "a:", ""]);
    }
}
