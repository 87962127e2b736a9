//! One contract suite per port: an adapter that passes it can take the place of any other.
#![allow(clippy::unwrap_used, reason = "a suite is test code")]
pub mod cache;
pub mod coord;
pub mod counter;
pub mod db;
mod facts;
pub mod mq;
pub mod presence;
