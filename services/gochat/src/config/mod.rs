//! Settings of the whole process.

mod secret;

use std::path::{Path, PathBuf};

use gochat_core::snowflake::LeaseRules;
use gochat_infra::embedded::log::{Fsync, LogConfig};
use gochat_infra::embedded::sqlite::{SqliteOptions, Synchronous};
use gochat_infra::shell::{
    ConfigError, Layers, LogConfig as Logging, TELEMETRY_VARIABLES, TelemetryConfig,
};
use serde::{Deserialize, Serialize};

pub use secret::{SecretError, load_or_create};

/// Every setting; [`Default`] is what runs without any.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder that holds all data. Default `./gochat-data`.
    pub data_dir: PathBuf,
    /// Address of Prometheus metrics (`/metrics`), such as `127.0.0.1:9193`. Default: off.
    pub metrics_listen: Option<String>,
    /// Loopback address of im-logic's gRPC services with health and reflection, such as `127.0.0.1:9001`. Its callers
    /// are trusted. Default: off.
    pub grpc_listen: Option<String>,
    /// Logging.
    pub log: Logging,
    /// Traces. Default: none.
    pub telemetry: TelemetryConfig,
    /// The embedded log and database.
    pub storage: Storage,
    /// im-gateway.
    pub gateway: im_gateway::Config,
    /// im-logic.
    pub logic: im_logic::Config,
    /// im-repo.
    pub repo: im_repo::Config,
    /// im-task.
    pub task: im_task::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./gochat-data"),
            metrics_listen: None,
            grpc_listen: None,
            log: Logging::default(),
            telemetry: TelemetryConfig::default(),
            storage: Storage::default(),
            gateway: im_gateway::Config::default(),
            logic: im_logic::Config::default(),
            repo: im_repo::Config::default(),
            task: im_task::Config::default(),
        }
    }
}

/// The embedded log, database and cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Partitions of the message topics; fixed once the data folder exists. Default 4.
    pub partitions: u32,
    /// Force every commit to the disk before it is acknowledged. Default true; without it a power cut (not a killed
    /// process) may lose the last second.
    pub fsync: bool,
    /// Most bytes of the log on disk; beyond it sends are refused until consumers catch up. Default 10 GiB.
    pub log_max_bytes: u64,
    /// Newest log records kept in memory, in bytes. Default 64 MiB.
    pub log_cache_bytes: usize,
    /// Threads that read the database. Default 4.
    pub db_readers: usize,
    /// Page cache per database connection in KiB. Default 16,384.
    pub db_cache_kib: u32,
    /// Memory for cached rows, in bytes. Default 64 MiB.
    pub cache_bytes: u64,
    /// Ids do not follow a clock that is more than this many days ahead of what is stored. Default 180.
    pub max_clock_jump_days: u64,
}

impl Storage {
    /// How time is leased for ids.
    pub fn lease_rules(&self) -> LeaseRules {
        LeaseRules::default().max_jump_days(self.max_clock_jump_days)
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            partitions: 4,
            fsync: true,
            log_max_bytes: 10 << 30,
            log_cache_bytes: 64 << 20,
            db_readers: 4,
            db_cache_kib: 16_384,
            cache_bytes: 64 << 20,
            max_clock_jump_days: 180,
        }
    }
}

impl Config {
    /// Merges defaults, a file, the environment and assignments (`key.path=value`).
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        assignments: &[String],
    ) -> Result<Self, ConfigError> {
        let tree =
            serde_json::to_value(Self::default()).map_err(|e| ConfigError::one(e.to_string()))?;
        let mut layers = Layers::new(tree);
        if let Some(path) = file {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => layers.file(&name, &text),
                Err(e) => return Err(ConfigError::one(format!("{name}: {e}"))),
            }
        }
        let env: Vec<_> = env.into_iter().collect();
        layers.variables(&TELEMETRY_VARIABLES, &env);
        layers.environment(env);
        assignments.iter().for_each(|a| layers.assignment(a));
        let tree = layers.finish().map_err(ConfigError::new)?;
        let config: Self =
            serde_json::from_value(tree).map_err(|e| ConfigError::one(e.to_string()))?;
        config.check().map_err(ConfigError::new)?;
        Ok(config)
    }

    /// What no single field can tell.
    fn check(&self) -> Result<(), Vec<String>> {
        let mut errors = Vec::new();
        errors.extend(self.log.filter().err());
        errors.extend(self.telemetry.check());
        if !(1..=1024).contains(&self.storage.partitions) {
            errors.push("`storage.partitions` must be 1 to 1024".to_owned());
        }
        if self.storage.db_readers == 0 {
            errors.push("`storage.db_readers` must be above 0".to_owned());
        }
        if let Some(listen) = &self.metrics_listen
            && listen.parse::<std::net::SocketAddr>().is_err()
        {
            errors.push(format!("`metrics_listen`: {listen} is not ADDR:PORT"));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// All settings as JSON; secrets are left out.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Where the database lies.
    pub fn database(&self) -> SqliteOptions {
        SqliteOptions {
            readers: self.storage.db_readers,
            cache_kib: self.storage.db_cache_kib,
            synchronous: if self.storage.fsync {
                Synchronous::Full
            } else {
                Synchronous::Normal
            },
            ..SqliteOptions::new(self.data_dir.join("gochat.db"))
        }
    }

    /// Where the log lies.
    pub fn journal(&self) -> LogConfig {
        LogConfig {
            max_disk_bytes: self.storage.log_max_bytes,
            cache_bytes: self.storage.log_cache_bytes,
            fsync: if self.storage.fsync {
                Fsync::Always
            } else {
                Fsync::Interval(std::time::Duration::from_secs(1))
            },
            ..LogConfig::new(self.data_dir.join("log"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_hold_no_secret() {
        let config = Config::load(None, std::iter::empty(), &[]).unwrap();
        assert!(!config.to_json().contains("secret"));
    }

    #[test]
    fn unknown_settings_are_refused_with_their_place() {
        let env = [("GOCHAT_STORAGE__PARTITION".to_owned(), "3".to_owned())];
        let error = Config::load(None, env, &["storage.partitions=0x".into()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("GOCHAT_STORAGE__PARTITION"), "{error}");
        assert!(error.contains("storage.partitions"), "{error}");
    }

    #[test]
    fn the_environment_reaches_nested_settings() {
        let env = [(
            "GOCHAT_GATEWAY__WEBSOCKET__SESSIONS_PER_USER".to_owned(),
            "1".to_owned(),
        )];
        let config = Config::load(None, env, &[]).unwrap();
        assert_eq!(config.gateway.websocket.sessions_per_user, 1);
    }
}
