//! im-logic: the business rules of GoChat as a service.
//!
//! It decides (with `gochat-core`) and keeps nothing: facts come from im-repo, messages and events
//! go through the log. Two halves share the process: the gRPC API, which answers im-gateway, and
//! the sequencing workers, which turn upstream records into ordered messages.
#![forbid(unsafe_code)]

mod api;
mod app;
mod audit;
mod auth;
mod budgets;
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
mod events;
mod facts;
mod owed;
pub mod pipeline;
mod proofs;
mod repo;
mod rpc;
pub mod send;
mod service;
mod trace;

pub use api::{Api, Ports};
pub use app::{ChangeWish, Changed, SendMessage};
pub use config::{Config, SECRET_MIN_BYTES};
pub use facts::Announcer;
pub use service::{Service, ServicePorts};
