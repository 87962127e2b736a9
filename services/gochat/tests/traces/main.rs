//! Traces: one message is one trace through all services, and what is not sampled leaves nothing anywhere.
//!
//! A real server exports over OTLP to a collector in this process.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]
// A test binary has no outside: `pub` says what a module shows to its neighbours.
#![allow(unreachable_pub)]

// Shared with the flows; not all of it is needed here.
#[allow(dead_code, unused_imports)]
#[path = "../flows/kit/mod.rs"]
mod kit;

mod messages;
mod rig;
mod unsampled;
