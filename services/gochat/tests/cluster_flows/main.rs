//! The flows that need several instances: two gateways, two im-logic, two im-task and two im-repo in this process, on
//! one log, one database and one presence, each instance on a runtime of its own so that it can be killed.
//!
//! This proves the logic of a cluster without servers; what the engines themselves do is proven on the real ones.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]
// A test binary has no outside: `pub` says what a module shows to its neighbours.
#![allow(unreachable_pub)]

// Shared with the flows of one server; not all of it is needed here.
#[allow(dead_code, unused_imports)]
#[path = "../flows/kit/mod.rs"]
mod kit;
mod rig;

mod arrivals;
mod audit;
mod changes;
mod eviction;
mod gateways;
mod keys;
mod limits;
mod membership;
mod owners;
mod reads;
mod recall;
mod sessions;
mod signals;
