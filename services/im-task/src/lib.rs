//! im-task: everything that may happen after a message was acknowledged.
//!
//! | part | reads | does |
//! |---|---|---|
//! | `persist` | `gochat.messages.persist` | writes messages to the database in batches; pushes to recipients who came online meanwhile |
//! | `fanout` | `gochat.tasks.fanout` | pages the members of large groups and hands their gateways the message |
//! | `events` | the five event topics | tells users what changed: signals through `PusherService` |
//! | `cleanup` | timers | removes dead sessions, topics of gateways that never came back, and old guests; says who is offline when a gateway stopped before it could |
//!
//! Every part is a member of its own consumer group, so any number of instances share the work. A record is committed
//! after its work is done; what can succeed later is tried until it does, with back-off; what never can goes to the
//! group's dead-letter topic.
//!
//! # What is deliberately absent
//!
//! State. Everything here can be killed at any point and started elsewhere: work in hand is done again, and
//! receivers drop repeats (rows by their keys, messages by seqId, events by event id).
#![forbid(unsafe_code)]

mod away;
mod cleanup;
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
mod config;
mod dead_letter;
mod delivery;
mod demand;
mod events;
mod fanout;
mod metrics;
mod persist;
mod push;
mod repo;
mod service;
mod signals;
mod stopped;
mod worker;

pub use cleanup::Coord;
pub use config::{Cleanup, Config, Events, Fanout, Persist};
pub use demand::Repos;
pub use push::{OneGateway, Pushers};
pub use service::{Ports, Service};
