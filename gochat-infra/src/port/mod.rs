//! The ports: what services need from the world, as traits. The docs of a trait are its contract; `testsuite`
//! holds one suite per port that every adapter passes.

pub mod cache;
pub mod coord;
pub mod counter;
pub mod db;
pub mod mq;
pub mod presence;
