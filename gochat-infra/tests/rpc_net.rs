//! Channels and servers on real sockets: instances come, go, break and hang; breakers; TLS; two protocols on a port.
#![cfg(feature = "grpc-tls")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

#[path = "rpc_net/breaking.rs"]
mod breaking;
#[path = "rpc_net/certificates.rs"]
mod certificates;
#[path = "rpc_net/directory.rs"]
mod directory;
#[path = "rpc_net/instances.rs"]
mod instances;
#[path = "rpc_net/metrics.rs"]
mod metrics;
#[path = "rpc_net/ports.rs"]
mod ports;
#[path = "rpc_net/server.rs"]
mod server;
#[path = "rpc_net/tls.rs"]
mod tls;
