//! Ports of GoChat and their adapters.
//!
//! [`port`] holds the traits; their docs are the contract. [`embedded`] holds the adapters that need nothing
//! but a disk. `rpc` carries calls between services,
//! [`telemetry`] the traces of messages and calls.
#![forbid(unsafe_code)]

pub mod cached;
#[cfg(any(
    feature = "kafka",
    feature = "mysql",
    feature = "redis",
    feature = "etcd"
))]
pub mod cluster;
pub mod embedded;
pub mod ids;
pub mod listen;
pub mod os;
pub mod port;
pub mod rpc;
pub mod rules;
#[cfg(feature = "shell")]
pub mod shell;
mod sql;
pub mod telemetry;
#[cfg(feature = "testsuite")]
pub mod testsuite;
#[cfg(feature = "token")]
pub mod token;
pub mod topics;
