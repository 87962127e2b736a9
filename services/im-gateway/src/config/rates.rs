//! Rates of what strangers and users may ask for.

use gochat_core::ratelimit::Rule;
use serde::{Deserialize, Serialize};

/// Buckets that judge sign-in and registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateMode {
    /// Buckets of this process.
    #[default]
    Local,
    /// Buckets of this process, and then buckets that all gateways share through im-repo.
    Distributed,
}

/// Token buckets: `rate` per second, `capacity` at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Whether [`login`](Self::login) and [`register`](Self::register) hold for all gateways together
    /// (`distributed`) or for each one (`local`). Default `distributed` in a cluster, `local` in one process.
    pub mode: RateMode,
    /// Longest wait for the verdict of a shared bucket in milliseconds; after it the bucket of this
    /// process decides. Leaves im-repo the time to give up on Redis first. Default 300.
    pub shared_wait_ms: u64,
    /// New connections, per address; further ones are closed at once, before TLS. Default 50/s,
    /// burst 200.
    pub connect: Rule,
    /// Requests for `/health`, per address. Default 10/s, burst 50.
    pub probe: Rule,
    /// Any other request, WebSocket handshakes and `OPTIONS` too, per address. Default 100/s, burst 200.
    pub http: Rule,
    /// What a request with a token that was never good, or a refused sign-in, costs its address, in
    /// requests. Default 10.
    pub guess_cost: f64,
    /// HTTP requests and WebSocket handshakes of one account. Default 50/s, burst 200.
    pub account: Rule,
    /// Logins, guest logins and refreshes, per address. Default 5/s, burst 10.
    pub login: Rule,
    /// Registrations, per address. Default 1/s, burst 3.
    pub register: Rule,
    /// All HTTP requests of this instance, `/health` and WebSocket handshakes with a good token
    /// aside. Default 500/s, burst 600.
    pub instance: Rule,
    /// Part of the instance's burst that signing in and registering may use; the rest is kept for
    /// accounts that are signed in. Between 0 and 1. Default 0.5.
    pub share_sign_in: f64,
    /// Part of the instance's burst that requests without a good token may use. Default 0.25.
    pub share_strangers: f64,
    /// Messages of one user. Default 10/s, burst 30.
    pub send: Rule,
    /// Messages of one user in the world chat. Default 10 per minute, burst 10.
    pub world_send: Rule,
    /// Buckets remembered per kind; full ones are forgotten, and without room newcomers share one.
    /// Default 200,000.
    pub max_buckets: usize,
    /// Switches all of them off, and the rate of single connections too, for load tests. Default false.
    pub disabled: bool,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            mode: RateMode::Local,
            shared_wait_ms: 300,
            connect: Rule::new(50.0, 200.0),
            probe: Rule::new(10.0, 50.0),
            http: Rule::new(100.0, 200.0),
            guess_cost: 10.0,
            account: Rule::new(50.0, 200.0),
            login: Rule::new(5.0, 10.0),
            register: Rule::new(1.0, 3.0),
            instance: Rule::new(500.0, 600.0),
            share_sign_in: 0.5,
            share_strangers: 0.25,
            send: Rule::new(10.0, 30.0),
            world_send: Rule::new(10.0 / 60.0, 10.0),
            max_buckets: 200_000,
            disabled: false,
        }
    }
}
