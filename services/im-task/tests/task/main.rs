//! im-task with the real im-repo, the real log, and gateways that write down what they are told.
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

mod changes;
mod cleanup;
mod events;
mod fanout;
mod harness;
mod persist;
mod world;
