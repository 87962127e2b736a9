//! Every RPC over an in-process channel, on SQLite in a temporary folder.
#![allow(
    clippy::needless_update,
    clippy::unwrap_used,
    reason = "short requests may name every field there is; helpers of tests are test code"
)]

mod changes;
mod conversations;
mod facts;
mod friends;
mod groups;
mod harness;
mod largest;
mod maintenance;
mod members;
mod messages;
mod online;
mod races;
mod rate_limit;
mod reactions;
mod read;
mod references;
mod sequence;
mod sessions;
mod users;
