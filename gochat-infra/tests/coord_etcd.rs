//! Coordination on a real etcd: the contract suite, and what only failures show.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

#[path = "coord_etcd/access.rs"]
mod access;
#[cfg(feature = "grpc-tls")]
#[path = "rpc_net/certificates.rs"]
mod certificates;
#[path = "coord_etcd/claims.rs"]
mod claims;
#[path = "coord_etcd/outage.rs"]
mod outage;
#[path = "coord_etcd/proxy.rs"]
mod proxy;
#[path = "coord_etcd/server.rs"]
mod server;
#[cfg(feature = "grpc-tls")]
#[path = "coord_etcd/tls.rs"]
mod tls;

mod contract {
    use std::sync::Arc;

    use gochat_infra::testsuite::coord::Subject;

    use super::server::{connect, shared};

    async fn make() -> Subject {
        let (config, raw) = shared();
        let coord = Arc::new(connect(config.clone()).await);
        let namespace = config.namespace;
        Subject {
            registry: coord.clone(),
            config: coord.clone(),
            locks: coord.clone(),
            ids: coord,
            lose_leases: Arc::new(move || raw.rob(&namespace)),
        }
    }

    gochat_infra::coord_suite!(make());
}
