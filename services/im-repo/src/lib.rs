//! im-repo: the only door to the database, the cache and presence.
//!
//! Every RPC is one atomic business operation. [`Service::bind`] takes [`Config`] and
//! [`Ports`]; [`Service::routes`] are the gRPC services, served over HTTP/2 in a cluster and
//! called in process by the all-in-one program.
//!
//! | service | what it keeps |
//! |---|---|
//! | UserService | accounts; compares passwords |
//! | ConversationService, GroupService | conversations, members, read pointers, the sequencer's facts |
//! | MessageService | history |
//! | OnlineStatusService | which sockets a user has, and where |
//! | FriendService | requests and friends |
//! | SessionService | sign-ins, their refresh tokens and their ends |
//! | SequenceService, IdempotencyService | counters and claims for callers without the sequencer |
//! | RateLimitService | token buckets that all gateways share |
//!
//! # What is cached
//!
//! Users, conversation rows and verdicts on tokens, cache-aside: read, load on a miss, delete
//! after the commit of a write. Losing the cache loses nothing. The conversation list is not
//! cached: it is one statement.
//!
//! # What is deliberately absent
//!
//! Permissions. Callers are services; im-logic decides who may do what. This service must not
//! be reachable by users.
#![forbid(unsafe_code)]

mod args;
mod claims;
#[cfg(feature = "cluster")]
pub mod cluster;
mod config;
mod conversations;
mod convert;
mod heads;
mod pages;
mod password;
mod proofs;
mod rpc;
mod service;
mod services;
mod shared;
mod users;

pub use config::{CacheTimes, Config, Password};
pub use service::{Ports, Service};
