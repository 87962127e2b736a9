//! Settings of the whole process.

mod memory;
mod secret;

use std::path::{Path, PathBuf};

use gochat_core::snowflake::LeaseRules;
use gochat_infra::embedded::log::{Fsync, LogConfig};
use gochat_infra::embedded::sqlite::{SqliteOptions, Synchronous};
use gochat_infra::os::explain;
use gochat_infra::shell::{
    ConfigError, Layers, LogConfig as Logging, TELEMETRY_VARIABLES, TelemetryConfig,
};
use serde::{Deserialize, Serialize};

pub use memory::{Bounds, Memory};
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
    /// Memory of the whole process.
    pub memory: Memory,
    /// im-gateway.
    pub gateway: im_gateway::Config,
    /// im-logic.
    pub logic: im_logic::Config,
    /// im-repo.
    pub repo: im_repo::Config,
    /// im-task.
    pub task: im_task::Config,
    /// What of the environment was ignored, and why; told once logging runs.
    #[serde(skip)]
    pub warnings: Vec<String>,
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
            memory: Memory::default(),
            gateway: im_gateway::Config::default(),
            logic: im_logic::Config::default(),
            repo: im_repo::Config::default(),
            task: im_task::Config::default(),
            warnings: Vec::new(),
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
    /// Bytes of the disk to keep free: below it new messages, accounts, conversations and requests
    /// are refused with a retryable error, and reading goes on. Default: 5 % of the file system, at
    /// least 1 MiB and at most 256 MiB.
    pub min_free_bytes: Option<u64>,
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
            min_free_bytes: None,
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
        Self::load_with(file, env, assignments, &[])
    }

    /// As [`load`](Self::load), with flags that are short cuts for settings: name, setting, value.
    ///
    /// # Errors
    /// Every complaint at once.
    pub fn load_with(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        assignments: &[String],
        flags: &[(&str, &str, String)],
    ) -> Result<Self, ConfigError> {
        let tree =
            serde_json::to_value(Self::default()).map_err(|e| ConfigError::one(e.to_string()))?;
        let mut layers = Layers::new(tree);
        if let Some(path) = file {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => layers.file(&name, &text),
                Err(e) => {
                    let text = explain("read the settings file", &name, &e);
                    return Err(ConfigError::one(text));
                }
            }
        }
        let env: Vec<_> = env.into_iter().collect();
        layers.variables(&TELEMETRY_VARIABLES, &env);
        layers.environment(env);
        assignments.iter().for_each(|a| layers.assignment(a));
        for (flag, setting, text) in flags {
            let path: Vec<String> = setting.split('.').map(str::to_owned).collect();
            layers.set(&path, text, flag);
        }
        let merged = layers.parts();
        let mut complaints = merged.errors.clone();
        let typed = merged.typed::<Self>(merged.tree.clone(), "");
        let config = match typed {
            Ok(mut config) => {
                let checked = config.check().err().unwrap_or_default();
                complaints.extend(checked.into_iter().map(|c| merged.placed(c)));
                config.warnings.clone_from(&merged.warnings);
                config
            }
            Err(complaint) => {
                complaints.push(complaint);
                return Err(ConfigError::new(complaints));
            }
        };
        if complaints.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::new(complaints))
        }
    }

    /// What no single field can tell.
    fn check(&mut self) -> Result<(), Vec<String>> {
        let mut errors = Vec::new();
        errors.extend(self.log.filter().err());
        errors.extend(self.telemetry.check());
        if !(1..=1024).contains(&self.storage.partitions) {
            errors.push("`storage.partitions` must be 1 to 1024".to_owned());
        }
        if self.storage.db_readers == 0 {
            errors.push("`storage.db_readers` must be above 0".to_owned());
        }
        if let Err(error) = self.memory_bounds() {
            errors.push(format!("`memory.budget`: {error}"));
        }
        for (name, listen) in [
            ("metrics_listen", &mut self.metrics_listen),
            ("grpc_listen", &mut self.grpc_listen),
        ] {
            let Some(text) = listen else { continue };
            match gochat_infra::listen::address(text) {
                Ok(address) => *text = address.to_string(),
                Err(error) => errors.push(format!("`{name}`: {error}")),
            }
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
            cache_kib: self
                .memory_bounds()
                .map_or(self.storage.db_cache_kib, |bounds| bounds.database_kib),
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
            cache_bytes: self
                .memory_bounds()
                .map_or(self.storage.log_cache_bytes, |bounds| bounds.log),
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
    fn mistakes_name_the_setting_and_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gochat.yaml");
        std::fs::write(&file, "storage:\n  fsync: true\n  partitions: 0\n").unwrap();
        let env = [("GOCHAT_METRICS_LISTEN".to_owned(), "localhost".to_owned())];
        let flags = [("--listen", "gateway.listen", "nowhere".to_owned())];
        let error = Config::load_with(Some(&file), env.clone(), &[], &flags).unwrap_err();
        assert!(
            error.to_string().contains("--listen: `gateway.listen`: "),
            "{error}"
        );
        let error = Config::load(Some(&file), env, &[]).unwrap_err().to_string();
        assert!(
            error.contains("gochat.yaml:3: `storage.partitions`"),
            "{error}"
        );
        assert!(
            error.contains("GOCHAT_METRICS_LISTEN: `metrics_listen`"),
            "{error}"
        );
    }

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        let flags = |text: &str| [("--listen", "gateway.listen", text.to_owned())];
        for (text, wanted) in [
            ("localhost:7", "127.0.0.1:7"),
            (":7", "0.0.0.0:7"),
            ("7", "127.0.0.1:7"),
        ] {
            let set = [format!("metrics_listen={text}")];
            let config = Config::load_with(None, std::iter::empty(), &set, &flags(text)).unwrap();
            assert_eq!(config.gateway.listen.to_string(), wanted);
            assert_eq!(config.metrics_listen.as_deref(), Some(wanted));
        }
    }

    #[test]
    fn variables_of_kubernetes_services_stop_nothing() {
        let env = [
            ("GOCHAT_PORT", "tcp://10.96.3.4:8080"),
            ("GOCHAT_SERVICE_PORT", "8080"),
        ];
        let env = env.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let config = Config::load(None, env, &[]).unwrap();
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
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
