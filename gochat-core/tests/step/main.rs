//! The batch step: exact effects, and laws that hold under faults.
#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should stop here"
)]

mod changes;
mod fanout;
mod reactions;
mod references;
mod resends;
mod rules;
mod simulation;
mod support;
mod system;
