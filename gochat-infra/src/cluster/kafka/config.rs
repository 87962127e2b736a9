//! Settings, and what they are in librdkafka's words.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// Where Kafka is and how to speak to it. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaConfig {
    /// Bootstrap brokers, `host:port` with commas between. Default `127.0.0.1:9092`.
    pub brokers: String,
    /// Name of this process towards the brokers, also the `X-Source` header. Default `gochat`.
    pub client_id: String,
    /// Put before the name of every topic, group and transactional id, so that several installations can share a
    /// cluster. Default empty.
    pub prefix: String,
    /// Other names for topics, e.g. `gochat.messages.upstream` → `im-upstream-topic`. A name that ends with a dot
    /// renames a family: `gochat.messages.downstream.` → `im-downstream-topic-`. Default empty.
    pub topic_names: BTreeMap<String, String>,
    /// Partition counts that differ from the built-in ones. Default empty.
    pub partitions: BTreeMap<String, u32>,
    /// Copies of every partition of a topic this process creates. Default 1; 3 in production.
    pub replication_factor: u16,
    /// Codec of batches: `lz4`, `zstd`, `snappy`, `gzip` or `none`. Default `lz4`.
    pub compression: String,
    /// Wait for a fuller batch before it is sent, in microseconds; atomic steps don't. Default 2,000: a busy
    /// broker gets fewer requests than with 500, and messages arrive sooner (docs/benchmarks.md).
    pub linger_us: u64,
    /// After this a record that could not be written is given up with a retryable error. Default 5,000.
    pub delivery_timeout_ms: u64,
    /// Records, and KiB of records, that may wait to be sent; more is refused. Defaults 100,000 and 65,536.
    pub queue_records: u32,
    /// See [`queue_records`](Self::queue_records).
    pub queue_kib: u32,
    /// A member the broker does not hear from for this long loses its partitions. Default 6,000, the least a broker
    /// with its default settings accepts.
    pub session_timeout_ms: u64,
    /// The broker aborts a transaction that was open for this long: as long can a killed process hold back readers of
    /// what it was writing. Default 6,000, as the session: when the heir comes, the transaction is gone, too. (The
    /// broker looks every `transaction.abort.timed.out.transaction.cleanup.interval.ms`: set 1,000 there, its default
    /// is 10,000.)
    pub transaction_timeout_ms: u64,
    /// Longest wait of any other request. Default 5,000.
    pub request_timeout_ms: u64,
    /// How long a broker keeps an idle fetch. Records never wait for it; a changed position may. Default 200: with 50 idle
    /// gateways cost the broker four times as much.
    pub fetch_wait_ms: u64,
    /// Retention of topics that may lose records (one per gateway). Default one hour.
    pub memory_retention_ms: u64,
    /// How often the list of topics is read anew. Default 1,000.
    pub metadata_refresh_ms: u64,
    /// A consumer that reads nothing for this long although there is something is built anew. Default 10,000.
    pub watchdog_ms: u64,
    /// Which records carry the `X-Timestamp` and `X-Source` headers. Default [`Stamp::Events`].
    pub stamp: Stamp,
    /// Transport encryption. Default none.
    pub tls: Option<KafkaTls>,
    /// Authentication. Default none.
    pub sasl: Option<KafkaSasl>,
}

/// Which records carry `X-Timestamp` and `X-Source`. Readers of this adapter don't see the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// All records.
    All,
    /// All but those of the message path (`gochat.messages.*`), whose payloads hold the same facts.
    #[default]
    Events,
    /// None.
    None,
}

/// Transport encryption.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaTls {
    /// PEM file of the authorities to trust. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// PEM file of the client certificate, for mutual TLS.
    pub cert: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
}

/// Authentication. `Debug` and serialisation leave the password out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaSasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` (default).
    pub mechanism: String,
    /// User.
    pub user: String,
    /// Password.
    #[serde(skip_serializing)]
    pub password: String,
}

impl Default for KafkaSasl {
    fn default() -> Self {
        Self {
            mechanism: "SCRAM-SHA-512".into(),
            user: String::new(),
            password: String::new(),
        }
    }
}

impl fmt::Debug for KafkaSasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSasl")
            .field("mechanism", &self.mechanism)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            client_id: "gochat".into(),
            prefix: String::new(),
            topic_names: BTreeMap::new(),
            partitions: BTreeMap::new(),
            replication_factor: 1,
            compression: "lz4".into(),
            linger_us: 2_000,
            delivery_timeout_ms: 5_000,
            queue_records: 100_000,
            queue_kib: 65_536,
            session_timeout_ms: 6_000,
            transaction_timeout_ms: 6_000,
            request_timeout_ms: 5_000,
            fetch_wait_ms: 200,
            memory_retention_ms: 3_600_000,
            metadata_refresh_ms: 1_000,
            watchdog_ms: 10_000,
            stamp: Stamp::default(),
            tls: None,
            sasl: None,
        }
    }
}

impl KafkaConfig {
    /// Default settings for these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            ..Self::default()
        }
    }

    /// What the longest work of a consumer's client may take: a transaction, its abort and a producer in the place of
    /// its own.
    pub(super) fn longest_work(&self) -> Duration {
        let transaction = Duration::from_millis(self.transaction_timeout_ms);
        transaction + 4 * self.request_timeout()
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// What all clients share.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500")
            .set("topic.metadata.propagation.max.ms", "1000")
            .set("allow.auto.create.topics", "false");
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            let files = [
                ("ssl.ca.location", &tls.ca),
                ("ssl.certificate.location", &tls.cert),
                ("ssl.key.location", &tls.key),
            ];
            for (name, file) in files {
                if let Some(file) = file {
                    config.set(name, file.to_string_lossy());
                }
            }
        }
        if let Some(sasl) = &self.sasl {
            config
                .set("sasl.mechanism", &sasl.mechanism)
                .set("sasl.username", &sasl.user)
                .set("sasl.password", &sasl.password);
        }
        config
    }

    fn producing(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", &self.compression)
            .set("message.max.bytes", "2097152")
            .set(
                "queue.buffering.max.messages",
                self.queue_records.to_string(),
            )
            .set("queue.buffering.max.kbytes", self.queue_kib.to_string());
        config
    }

    /// Plain producer.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.producing();
        let timeout = self.delivery_timeout_ms.to_string();
        config
            .set("queue.buffering.max.ms", millis(self.linger_us))
            .set("message.timeout.ms", &timeout)
            .set("request.timeout.ms", &timeout)
            .set("socket.timeout.ms", &timeout);
        config
    }

    /// Producer of one transactional id.
    pub(super) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producing();
        let timeout = self.delivery_timeout_ms.min(self.transaction_timeout_ms);
        config
            .set("transactional.id", self.prefixed(id))
            .set(
                "transaction.timeout.ms",
                self.transaction_timeout_ms.to_string(),
            )
            .set("queue.buffering.max.ms", "0")
            .set("message.timeout.ms", timeout.to_string())
            .set("socket.timeout.ms", timeout.to_string());
        config
    }

    /// Client for administration and the list of topics.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("socket.timeout.ms", self.request_timeout_ms.to_string());
        config
    }

    /// Consumer that is given its partitions and positions by hand.
    pub(super) fn reader(&self, group: &str, committed: bool) -> ClientConfig {
        let mut config = self.admin();
        let isolation = match committed {
            true => "read_committed",
            false => "read_uncommitted",
        };
        config
            .set("group.id", self.prefixed(group))
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "8192");
        config
    }

    /// Consumer of the port. `age` sorts members by the time they joined: the oldest keeps what it has.
    pub(super) fn consumer(
        &self,
        group: &str,
        age: &str,
        max_poll: Duration,
        eager: &str,
    ) -> ClientConfig {
        let mut config = self.reader(group, true);
        let max_poll_ms = (max_poll.as_millis() as u64).max(self.session_timeout_ms);
        let heartbeat_ms = (self.session_timeout_ms / 12).max(1);
        config
            .set("client.id", format!("{}-{age}", self.client_id))
            .set("enable.partition.eof", "false")
            .set("partition.assignment.strategy", eager)
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", heartbeat_ms.to_string())
            .set("max.poll.interval.ms", max_poll_ms.to_string())
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", self.fetch_wait_ms.to_string())
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384");
        config
    }

    /// A name with the prefix of this installation.
    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_json_hide_the_password() {
        let config = KafkaConfig {
            sasl: Some(KafkaSasl {
                password: "hunter2".into(),
                ..KafkaSasl::default()
            }),
            ..KafkaConfig::default()
        };
        let json = serde_json::to_string(&config).unwrap();
        let native = config.producer();
        for text in [format!("{config:?}"), json, format!("{native:?}")] {
            assert!(
                text.contains("SCRAM-SHA-512") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }

    #[test]
    fn librdkafka_takes_every_setting() {
        let config = KafkaConfig {
            tls: Some(KafkaTls::default()),
            sasl: Some(KafkaSasl::default()),
            ..KafkaConfig::default()
        };
        let all = [
            config.producer(),
            config.transactional("t"),
            config.admin(),
            config.reader("g", true),
            config.consumer("g", "0", Duration::from_secs(1), "range"),
        ];
        for client in all {
            client.create_native_config().unwrap();
        }
    }

    #[test]
    fn a_poll_interval_is_never_shorter_than_the_session() {
        let config = KafkaConfig::default();
        let native = config.consumer("g", "0", Duration::from_millis(100), "range");
        assert_eq!(native.get("max.poll.interval.ms"), Some("6000"));
        assert_eq!(millis(500), "0.500");
    }
}
