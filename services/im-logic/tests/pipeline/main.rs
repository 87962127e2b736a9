//! The sequencing pipeline over the embedded log and a real im-repo whose calls can fail.
#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should stop here"
)]

mod faults;
mod harness;
mod path;
mod send;
