//! Every limit of the gateway, with its default.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gochat_core::ratelimit::Rule;
use gochat_core::session::{machine, wire};
use gochat_infra::token::Algorithm;
use serde::{Deserialize, Serialize};

mod rates;

pub use crate::server::TrustedProxy;
pub use rates::{RateMode, Rates};

/// Messages per second nobody reaches; a thousandfold still fits the bucket's 32 bits.
const UNLIMITED: u32 = 1_000_000;

/// Configuration of one gateway instance. Every field has a default that works.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where HTTP and WebSocket listen: `HOST:PORT`, `:PORT` (every address) or `PORT` (this
    /// machine only). Default `127.0.0.1:8080`; port 0 picks a free one.
    #[serde(deserialize_with = "gochat_infra::listen::deserialize")]
    pub listen: SocketAddr,
    /// Name of this instance, unique among the gateways that run. Default `gateway-1`.
    pub gateway_id: String,
    /// Encryption of HTTP and WebSocket. Default off.
    pub tls: Tls,
    /// How tokens are checked.
    pub auth: Auth,
    /// Sockets and HTTP connections.
    pub connections: Connections,
    /// WebSocket behaviour.
    pub websocket: WebSocket,
    /// HTTP behaviour.
    pub http: Http,
    /// Token buckets.
    pub rates: Rates,
    /// Calls to im-logic and im-repo, and the log.
    pub backend: Backend,
    /// Presence and signals.
    pub presence: Presence,
    /// What newcomers are given of recent broadcasts.
    pub replay: Replay,
    /// Numbers users were told of that may not be stored yet.
    pub told: Told,
    /// How long a graceful stop may take, in milliseconds. Default 8,000.
    pub drain_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            gateway_id: "gateway-1".to_owned(),
            tls: Tls::default(),
            auth: Auth::default(),
            connections: Connections::default(),
            websocket: WebSocket::default(),
            http: Http::default(),
            rates: Rates::default(),
            backend: Backend::default(),
            presence: Presence::default(),
            replay: Replay::default(),
            told: Told::default(),
            drain_timeout_ms: 8_000,
        }
    }
}

impl Config {
    /// The rules of a connection: heartbeat, and the rate unless rates are switched off.
    pub(crate) fn ws_rules(&self) -> machine::Rules {
        let rules = self.websocket.rules();
        if self.rates.disabled {
            machine::Rules {
                rate: UNLIMITED,
                burst: UNLIMITED,
                ..rules
            }
        } else {
            rules
        }
    }
}

/// TLS 1.2 and 1.3 on the listener: HTTPS and WSS, and nothing else there. On when a certificate is
/// named.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// PEM file of the certificate, with its chain. Empty (the default): no TLS.
    pub cert: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// Seconds between two looks at the files; changed ones are used from then on, unless they can't be.
    /// Default 5.
    pub reload_seconds: u64,
    /// Milliseconds a handshake may take. Default 10,000.
    pub handshake_timeout_ms: u64,
    /// Maximum number of cores that compute handshakes at the same time; further handshakes queue.
    /// 0: half of the cores. Default 0.
    pub handshake_cores: usize,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: PathBuf::new(),
            key: PathBuf::new(),
            reload_seconds: 5,
            handshake_timeout_ms: 10_000,
            handshake_cores: 0,
        }
    }
}

impl Tls {
    /// Whether the listener speaks TLS.
    pub fn is_on(&self) -> bool {
        !self.cert.as_os_str().is_empty() || !self.key.as_os_str().is_empty()
    }
}

/// How access tokens are verified. The gateway never signs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// How im-logic signs: `eddsa` (default; the gateway loads public keys) or `hs256`.
    pub algorithm: Algorithm,
    /// Shared secret of im-logic with `algorithm: hs256`, else unused. Empty refuses every token.
    #[serde(skip_serializing)]
    pub secret: String,
    /// Expected issuer. Default `im-logic`.
    pub issuer: String,
    /// Seconds between two loads of the public keys. A token of an unknown key causes a load as
    /// well, at most once per second. Default 10.
    pub keys_refresh_s: u64,
    /// Maximum number of verified tokens that are remembered, so that their signatures are checked
    /// once (about 400 bytes each); beyond it the least used are forgotten. 0 checks every
    /// signature every time. Default 20,000.
    pub remembered_tokens: u64,
    /// Maximum number of ended sessions remembered, each for one life of an access token. Beyond it
    /// the older half is replaced by one rule: tokens from before those ends must be renewed.
    /// Default 1,000,000 (about 50 bytes each).
    pub max_revocations: usize,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            secret: String::new(),
            keys_refresh_s: 10,
            remembered_tokens: 20_000,
            issuer: "im-logic".to_owned(),
            max_revocations: 1_000_000,
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("secret", &"[redacted]")
            .field("algorithm", &self.algorithm)
            .field("issuer", &self.issuer)
            .field("max_revocations", &self.max_revocations)
            .finish()
    }
}

/// Bounds on TCP connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Most connections of any kind; lowered to the process's limit of open files less 512. Default
    /// 1,000,000.
    pub max: usize,
    /// Maximum number of connections of one address or IPv6 /64; further ones are closed at once.
    /// Off with [`Rates::disabled`]. Default 1,024.
    pub max_per_address: usize,
    /// Maximum number of HTTP connections of one account; on further ones its requests are refused
    /// with 429. Off with [`Rates::disabled`]. Default 64.
    pub max_per_account: usize,
    /// Most connections that have not authenticated and wait for the client; beyond it the one that
    /// waits longest is closed, so that silent strangers never keep others out. At most half of all
    /// connections there may be. Default 2,048.
    pub max_unauthenticated: usize,
    /// The same for one address or IPv6 /64; beyond it the longest waiting connection of that
    /// address is closed. Off with [`Rates::disabled`]. Default 128.
    pub max_unauthenticated_per_address: usize,
    /// Backlog of the listener. Default 8,192.
    pub backlog: u32,
    /// Time to send a complete request head, also between two requests, in milliseconds. Default 30,000.
    pub header_timeout_ms: u64,
    /// Seconds in which the client must take 16 KiB of an answer, or what is left of it; then the
    /// connection is cut. WebSockets have [a limit of their own](WebSocket::write_timeout_s).
    /// Default 10.
    pub write_timeout_s: u32,
    /// Seconds without a byte of a request's body after which it is refused with 408. Default 10.
    pub read_timeout_s: u32,
    /// Proxies that are believed, by address, by network (`10.0.0.0/8`), or `unix` for hops over
    /// Unix sockets: their `X-Forwarded-For`, and with [`proxy_protocol`](Self::proxy_protocol)
    /// their headers. Default none.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Whether trusted proxies begin every connection with a header of the PROXY protocol (version
    /// 1 or 2). Connections from other peers begin without one. Default false.
    pub proxy_protocol: bool,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 1_000_000,
            max_per_address: 1_024,
            max_per_account: 64,
            max_unauthenticated: 2_048,
            max_unauthenticated_per_address: 128,
            backlog: 8_192,
            header_timeout_ms: 30_000,
            write_timeout_s: 10,
            read_timeout_s: 10,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}

/// WebSocket limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSocket {
    /// Sessions a user may have at once; the oldest is closed beyond it. Default 5.
    pub sessions_per_user: u32,
    /// Frames that may wait for one connection. Default 256.
    pub queue_frames: usize,
    /// Bytes that may wait for one connection. Default 1 MiB.
    pub queue_bytes: usize,
    /// Maximum number of bytes that wait over all connections. As they become more, the bytes
    /// that may wait for one connection become fewer. Default 256 MiB.
    pub max_queued_bytes: usize,
    /// Largest message from a client, all fragments together. Default 1 MiB.
    pub max_message_bytes: usize,
    /// Most fragments of one message. Default 1,024.
    pub max_fragments: u32,
    /// Bytes of unfinished messages over all connections; beyond it the one that grows is closed.
    /// Default 256 MiB.
    pub max_partial_bytes: usize,
    /// Seconds between two pings. Default 30.
    pub ping_interval_s: u32,
    /// Seconds without any frame after which a connection is dead. Default 40.
    pub dead_after_s: u32,
    /// Seconds a write may make no progress. Default 10.
    pub write_timeout_s: u32,
    /// Seconds within which a message that has begun must be complete; then the connection is
    /// closed with 4008. Default 30.
    pub message_timeout_s: u32,
    /// Messages per second of one connection. Default 50.
    pub rate: u32,
    /// Messages at once after a pause. Default 100.
    pub burst: u32,
    /// Refused messages in a row after which the connection is closed with 4008. Default 200.
    pub max_refused: u16,
    /// Milliseconds from the end of the request head to the socket being attached. Default 10,000.
    pub handshake_timeout_ms: u64,
    /// Origins browsers may connect from. Empty: any, tokens are the protection (no cookies are used).
    pub allowed_origins: Vec<String>,
}

impl Default for WebSocket {
    fn default() -> Self {
        let (rules, limits) = (machine::Rules::default(), wire::Limits::default());
        Self {
            sessions_per_user: 5,
            queue_frames: 256,
            queue_bytes: 1 << 20,
            max_queued_bytes: 256 << 20,
            max_message_bytes: limits.max_message,
            max_fragments: limits.max_fragments,
            max_partial_bytes: 256 << 20,
            ping_interval_s: rules.ping_every_s,
            dead_after_s: rules.dead_after_s,
            write_timeout_s: 10,
            message_timeout_s: 30,
            rate: rules.rate,
            burst: rules.burst,
            max_refused: rules.max_refused,
            handshake_timeout_ms: 10_000,
            allowed_origins: Vec::new(),
        }
    }
}

impl WebSocket {
    /// The limits the frame decoder works with.
    pub fn limits(&self) -> wire::Limits {
        wire::Limits {
            max_message: self.max_message_bytes,
            max_fragments: self.max_fragments,
        }
    }

    /// The rules of a connection's heartbeat and rate.
    fn rules(&self) -> machine::Rules {
        machine::Rules {
            rate: self.rate,
            burst: self.burst,
            max_refused: self.max_refused,
            ping_every_s: self.ping_interval_s,
            dead_after_s: self.dead_after_s,
        }
    }
}

/// HTTP limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Largest request body in bytes. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Maximum number of bytes of answers and request bodies in memory; beyond it requests are
    /// refused with 503. Those up to 8 KiB don't count. Default 256 MiB.
    pub max_held_bytes: usize,
    /// The same for one address or IPv6 /64. Default 32 MiB.
    pub max_held_bytes_per_address: usize,
    /// Maximum number of bytes that are read on of a request that was refused before all of it
    /// came, so that the client sees the answer; then the connection is closed. Default 16 MiB.
    pub linger_bytes: usize,
    /// Milliseconds for which it is read on. Default 5,000.
    pub linger_ms: u64,
    /// Maximum number of HTTP requests of one account that are answered at the same time; further
    /// ones are refused with
    /// 429. Off with [`Rates::disabled`]. Default 16.
    pub max_in_flight_per_account: usize,
    /// Time for one request, body included, in milliseconds; then 504. Default 30,000.
    pub request_timeout_ms: u64,
    /// How long `POST …/messages` waits for the acknowledgement, in milliseconds. Default 10,000.
    pub send_timeout_ms: u64,
    /// Most sends that wait at once; beyond it 503. Default 20,000.
    pub max_waiting_sends: usize,
    /// Value of `Access-Control-Allow-Origin`: `*`, or origins that are echoed. Default `*`.
    pub cors_origins: Vec<String>,
    /// Whether the chat page and the API page are served. Default true.
    pub pages: bool,
    /// Prefix of the code in the `url` of an invitation link: the address of a page, or a scheme
    /// that the apps have registered. Default `gochat:invitation/`.
    pub invitation_url: String,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_held_bytes: 256 << 20,
            max_held_bytes_per_address: 32 << 20,
            linger_bytes: 16 << 20,
            linger_ms: 5_000,
            max_in_flight_per_account: 16,
            request_timeout_ms: 30_000,
            send_timeout_ms: 10_000,
            max_waiting_sends: 20_000,
            cors_origins: vec!["*".to_owned()],
            pages: true,
            invitation_url: "gochat:invitation/".to_owned(),
        }
    }
}

/// Calls to the services behind the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// Deadline of one RPC in milliseconds. Default 10,000.
    pub rpc_timeout_ms: u64,
    /// Attempts of a call that only reads. Default 3.
    pub read_attempts: u32,
    /// Messages waiting to be produced; beyond it a sender gets `SERVICE_UNAVAILABLE`. Default 32,768.
    pub upstream_queue: usize,
    /// Most messages in one write to the log. Default 1,024.
    pub upstream_batch: usize,
    /// Writes to the log that may be in flight at once. Default 4.
    pub upstream_in_flight: usize,
    /// Most records taken from the downstream topic at once. Default 1,024.
    pub downstream_batch: usize,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            rpc_timeout_ms: 10_000,
            read_attempts: 3,
            upstream_queue: 32_768,
            upstream_batch: 1_024,
            upstream_in_flight: 4,
            downstream_batch: 1_024,
        }
    }
}

impl Backend {
    pub(crate) fn rpc_timeout(&self) -> Duration {
        Duration::from_millis(self.rpc_timeout_ms)
    }
}

/// Presence, typing, read marks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// Registrations merged into one call. Default 500.
    pub batch: usize,
    /// How long a registration waits for company, in microseconds. Default 1,000.
    pub linger_us: u64,
    /// Registrations waiting; beyond it a handshake gets 503. Default 20,000.
    pub queue: usize,
    /// Seconds between two heartbeats of a session to im-repo. Default 60; less than im-task's `cleanup.session_silence_s`.
    pub heartbeat_s: u32,
    /// Milliseconds between the last disconnection and `user.offline`. Default 30,000.
    pub offline_delay_ms: u64,
    /// Milliseconds between two typing frames of a user in a conversation. Default 3,000.
    pub typing_interval_ms: u64,
    /// Milliseconds after which typing ends by itself. Default 6,000.
    pub typing_expiry_ms: u64,
    /// Conversations that a user may begin to write in. Default 2/s, burst 10; beyond it nothing is
    /// relayed.
    pub typing_starts: Rule,
    /// Members told of the writing of one user. Default 200/s, burst 2,000; beyond it nothing is
    /// relayed.
    pub typing_told_by_user: Rule,
    /// Members told of writing in one conversation. Default 1,000/s, burst 5,000; beyond it nothing
    /// is relayed.
    pub typing_told_in_conversation: Rule,
    /// Groups above this size get no typing signals. Default 500.
    pub typing_max_members: i32,
    /// Read marks in flight at once. Default 64.
    pub mark_read_in_flight: usize,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            batch: 500,
            linger_us: 1_000,
            queue: 20_000,
            heartbeat_s: 60,
            offline_delay_ms: gochat_core::presence::OFFLINE_DELAY_MS,
            typing_interval_ms: 3_000,
            typing_expiry_ms: 6_000,
            typing_starts: Rule::new(2.0, 10.0),
            typing_told_by_user: Rule::new(200.0, 2_000.0),
            typing_told_in_conversation: Rule::new(1_000.0, 5_000.0),
            typing_max_members: 500,
            mark_read_in_flight: 64,
        }
    }
}

/// Numbers that users were told of and that may not be stored yet: reads must reach them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Conversations remembered until their rows are known to be stored. Beyond it a read may miss
    /// the newest message for a moment, and `gochat_gateway_told_dropped_total` counts. Default
    /// 65,536.
    pub conversations: usize,
    /// Milliseconds between two looks at how far the rows are. Default 5,000.
    pub check_ms: u64,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            conversations: 65_536,
            check_ms: 5_000,
        }
    }
}

/// Recent frames for connections that register a moment too late.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// Age of broadcast frames in milliseconds. Default 5,000: longer than a message takes to reach history.
    pub max_age_ms: u64,
    /// Broadcast frames. Default 128; stays below the queue of a connection.
    pub max_frames: usize,
    /// Bytes of broadcast frames. Default 256 KiB.
    pub max_bytes: usize,
    /// Age of frames for single users, in milliseconds. Default 2,000.
    pub direct_max_age_ms: u64,
    /// Frames per user. Default 64.
    pub direct_max_frames: usize,
    /// Bytes of frames for single users, altogether. Default 64 MiB.
    pub direct_max_bytes: usize,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            max_age_ms: 5_000,
            max_frames: 128,
            max_bytes: 256 << 10,
            direct_max_age_ms: 2_000,
            direct_max_frames: 64,
            direct_max_bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_file_keeps_the_other_defaults() {
        let config: Config =
            serde_json::from_str(r#"{"websocket":{"sessions_per_user":1}}"#).unwrap();
        assert_eq!(config.websocket.sessions_per_user, 1);
        assert_eq!(config.websocket.queue_frames, 256);
        assert_eq!(config.listen.port(), 8080);
    }

    #[test]
    fn the_secret_is_never_printed() {
        let auth = Auth {
            secret: "hunter2".into(),
            ..Auth::default()
        };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
