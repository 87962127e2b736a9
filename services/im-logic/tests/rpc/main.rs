//! The RPCs of im-logic against a real im-repo and a real log, all in this process.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]

mod accounts;
mod friends;
mod groups;
mod harness;
mod messages;
mod own_state;
mod simulation;
