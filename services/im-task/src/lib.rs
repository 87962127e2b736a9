//! im-task: what happens after a message was sequenced or a fact was told.
//!
//! | worker | consumes | does |
//! |---|---|---|
//! | [`persist`] | `persist` | saves messages, then pushes to recipients who came online meanwhile |
//!
//! (worker.rs, dlq.rs, repo.rs, persist.rs and config.rs exist; fan-out, reactions, push and clean-up build on them.)
#![forbid(unsafe_code)]

mod config;
mod dlq;
mod persist;
mod recheck;
mod repo;
mod service;
mod worker;

pub use config::Config;
pub use service::{Ports, Pushers, Service};
