//! The flows of the contract, from outside: HTTP and WebSocket against a running server.
//!
//! `cargo test -p gochat --test flows` starts embedded servers by itself. With
//! `GOCHAT_TEST_URL=http://host:port` the same flows run against a server that is up already; tests that need
//! settings, a restart or an RPC of their own say so and pass without doing anything. See docs/testing.md.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]
// A test binary has no outside: `pub` says what a module shows to its neighbours.
#![allow(unreachable_pub)]

mod kit;

mod accounts;
mod admin;
mod announcements;
mod around;
mod budgets;
mod changes;
mod conversations;
mod edge;
mod former_texts;
mod friends;
mod groups;
mod hidden;
mod matrix;
mod messages;
mod own_state;
mod page;
mod paging;
mod presence;
mod proof;
mod races;
mod reactions;
mod read;
mod reads;
mod recall;
mod receipts;
mod references;
mod restart;
mod resync;
mod system;
mod typing;
mod versions;
mod world;
