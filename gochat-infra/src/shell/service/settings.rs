//! Settings that every service of a cluster has, beside its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gochat_core::snowflake::LeaseRules;
use serde::{Deserialize, Serialize};

use crate::cluster::etcd::EtcdConfig;
use crate::cluster::kafka::KafkaConfig;
use crate::cluster::mysql::MysqlConfig;
use crate::cluster::redis::RedisConfig;
use crate::rpc::{ChannelConfig, ServerConfig};
use crate::shell::{JWT_SECRET_MIN_BYTES, LogConfig, LogFormat, TelemetryConfig, is_placeholder};

/// All settings of a process: what services share, and the section of its own.
#[derive(Debug, Clone, Default)]
pub struct Settings<C> {
    /// What services share.
    pub shared: Shared,
    /// Its own.
    pub service: C,
}

/// What services share. One file can hold the settings of all of them: sections of other services are skipped.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Shared {
    /// `dev`, `test` or `prod`; also the first part of keys in the config centre. Default `dev`.
    pub env: String,
    /// Logging. Default: JSON on stdout at `info`.
    pub log: LogConfig,
    /// Traces. Default: none.
    pub telemetry: TelemetryConfig,
    /// Where this process listens.
    pub server: Server,
    /// etcd: who is there, what is configured, who has which number.
    pub coord: Coord,
    /// Calls to other services.
    pub rpc: Rpc,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Topics, as far as their creator decides.
    pub topics: Topics,
    /// MySQL; im-repo only.
    pub mysql: MysqlConfig,
    /// Redis; im-repo only.
    pub redis: RedisConfig,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            env: "dev".to_owned(),
            log: LogConfig {
                format: LogFormat::Json,
                ..LogConfig::default()
            },
            telemetry: TelemetryConfig::default(),
            server: Server::default(),
            coord: Coord::default(),
            rpc: Rpc::default(),
            kafka: KafkaConfig::default(),
            topics: Topics::default(),
            mysql: MysqlConfig::default(),
            redis: RedisConfig::default(),
        }
    }
}

/// Where a process listens. Port 0 takes any free port; the registry learns the real one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address of gRPC, health and metrics. Default `127.0.0.1`: callers are trusted, so another address needs mutual
    /// TLS (`server.grpc.tls`), or `server.grpc.insecure` on a network that lets nobody else in.
    #[serde(deserialize_with = "crate::listen::deserialize_host")]
    pub host: IpAddr,
    /// Port of gRPC. im-gateway 9004, im-logic 9001, im-repo 8080; im-task has none.
    pub grpc_port: u16,
    /// Port of `/health`, `/ready`, `/live` and `/metrics`. im-gateway 9093, im-logic 9092, im-task 9094; im-repo serves
    /// them on its gRPC port.
    pub admin_port: u16,
    /// Address others reach this process at. Default: `host`, or where that is any address, the one this machine uses towards etcd.
    pub advertise: Option<String>,
    /// How gRPC is served.
    pub grpc: ServerConfig,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            grpc_port: 0,
            admin_port: 0,
            advertise: None,
            grpc: ServerConfig::default(),
        }
    }
}

/// etcd, and what this process is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coord {
    /// How to reach etcd.
    pub etcd: EtcdConfig,
    /// A crashed process is out of the registry after this long. Default 30 s.
    pub registration_ttl_s: u64,
    /// Instance numbers survive an outage of etcd this long; a crashed process keeps its number as long. Default one hour.
    pub instance_id_ttl_s: u64,
    /// The number of this instance, 1 to 1023, when the operator sees to it that no other has it (such as the ordinal
    /// of a stateful set); then etcd is not asked for one, so set it for all instances of the service or for none.
    pub instance_id: Option<u16>,
    /// How long the start waits for settings from the config centre, in milliseconds. Default 5,000.
    pub load_timeout_ms: u64,
    /// Ids do not follow a clock that is more than this many days ahead of what is stored. Default 180.
    pub max_clock_jump_days: u64,
}

impl Coord {
    pub(super) fn lease_rules(&self) -> LeaseRules {
        LeaseRules::default().max_jump_days(self.max_clock_jump_days)
    }
}

impl Default for Coord {
    fn default() -> Self {
        Self {
            etcd: EtcdConfig::default(),
            registration_ttl_s: 30,
            instance_id_ttl_s: 3_600,
            instance_id: None,
            load_timeout_ms: 5_000,
            max_clock_jump_days: 180,
        }
    }
}

/// Calls to other services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rpc {
    /// Addresses of im-repo, `host:port`, while the registry knows none.
    pub repo: Vec<String>,
    /// Addresses of im-logic, `host:port`, while the registry knows none.
    pub logic: Vec<String>,
    /// How calls are made; `name` and `fallback` are filled in per service.
    pub channel: ChannelConfig,
}

/// Topics that services create when they start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Partitions of the message topics: the most im-logic workers that can sequence at once. Fixed once they exist. Default 12.
    pub partitions: u32,
    /// Create what is missing at start. Default true; false where only an administrator may.
    pub create: bool,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            partitions: 12,
            create: true,
        }
    }
}

impl Shared {
    /// Brings names that have several spellings into one.
    pub(super) fn normalise(&mut self) {
        self.env = match self.env.trim().to_ascii_lowercase().as_str() {
            "development" => "dev".to_owned(),
            "testing" => "test".to_owned(),
            "production" => "prod".to_owned(),
            other => other.to_owned(),
        };
    }

    /// Whether this is the real thing: sample secrets are refused there.
    pub fn is_production(&self) -> bool {
        self.env == "prod"
    }

    /// What no single field can tell.
    pub(super) fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut must = |good: bool, sentence: &str| {
            if !good {
                wrong.push(sentence.to_owned());
            }
        };
        let env_ok = !self.env.is_empty()
            && self
                .env
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        must(env_ok, "`env` must be a word such as dev, test or prod");
        must(
            (1..=1024).contains(&self.topics.partitions),
            "`topics.partitions` must be 1 to 1024",
        );
        must(
            self.coord.registration_ttl_s >= 5,
            "`coord.registration_ttl_s` must be 5 or more",
        );
        must(
            self.coord.instance_id_ttl_s >= 10,
            "`coord.instance_id_ttl_s` must be 10 or more",
        );
        let ids = crate::port::coord::INSTANCE_IDS;
        must(
            self.coord.instance_id.is_none_or(|id| ids.contains(&id)),
            "`coord.instance_id` must be 1 to 1023",
        );
        wrong.extend(self.log.filter().err());
        wrong.extend(self.telemetry.check());
        let grpc = SocketAddr::new(self.server.host, self.server.grpc_port);
        wrong.extend(
            self.server
                .grpc
                .check(grpc)
                .err()
                .map(|e| format!("`server.host`: {e}")),
        );
        wrong
    }
}

/// Whether the secret that signs tokens will do; a sentence when it won't.
pub fn check_jwt_secret(setting: &str, secret: &str, production: bool) -> Option<String> {
    if secret.is_empty() {
        return Some(format!(
            "`{setting}` is not set: give JWT_SECRET, {JWT_SECRET_MIN_BYTES} bytes or more"
        ));
    }
    if secret.len() < JWT_SECRET_MIN_BYTES {
        return Some(format!(
            "`{setting}` (JWT_SECRET) must have at least {JWT_SECRET_MIN_BYTES} bytes"
        ));
    }
    (production && is_placeholder(secret)).then(|| {
        format!("`{setting}` (JWT_SECRET) is a sample value; make one of your own for production")
    })
}

/// Settings that are read and never shown.
pub(super) const SECRETS: [&str; 5] = [
    "coord.etcd.password",
    "mysql.password",
    "mysql.url",
    "redis.password",
    "redis.url",
];

/// Sections of the services; each reads its own.
pub(super) const SECTIONS: [&str; 4] = ["gateway", "logic", "repo", "task"];

/// Environment variables all services know. (`COORD_ETCD_ENDPOINTS`, `DB_HOST` … are the contract's names.)
pub(super) const VARIABLES: [(&str, &str); 29] = [
    ("APP_ENV", "env"),
    ("LOG_LEVEL", "log.level"),
    ("LOG_FORMAT", "log.format"),
    ("SERVER_HOST", "server.host"),
    ("SERVER_GRPC_HOST", "server.host"),
    ("SERVER_GRPC_PORT", "server.grpc_port"),
    ("SERVER_HTTP_PORT", "server.admin_port"),
    ("SERVER_ADVERTISE", "server.advertise"),
    ("COORD_ETCD_ENDPOINTS", "coord.etcd.endpoints"),
    ("COORD_ETCD_USERNAME", "coord.etcd.username"),
    ("COORD_ETCD_PASSWORD", "coord.etcd.password"),
    ("INSTANCE_ID", "coord.instance_id"),
    ("KAFKA_BROKERS", "kafka.brokers"),
    ("KAFKA_PARTITIONS", "topics.partitions"),
    ("KAFKA_REPLICATION_FACTOR", "kafka.replication_factor"),
    ("REPLICATION_FACTOR", "kafka.replication_factor"),
    ("REPO_GRPC_ADDRESS", "rpc.repo"),
    ("LOGIC_GRPC_ADDRESS", "rpc.logic"),
    ("DB_HOST", "mysql.host"),
    ("DB_PORT", "mysql.port"),
    ("DB_USER", "mysql.user"),
    ("DB_USERNAME", "mysql.user"),
    ("DB_PASSWORD", "mysql.password"),
    ("DB_NAME", "mysql.name"),
    ("SERVER_INSECURE", "server.grpc.insecure"),
    ("REDIS_HOST", "redis.host"),
    ("REDIS_PORT", "redis.port"),
    ("REDIS_PASSWORD", "redis.password"),
    ("REDIS_DB", "redis.db"),
];
