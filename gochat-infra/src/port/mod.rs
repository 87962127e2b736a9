//! The ports: what services need from the world, as traits. The docs of a trait are its contract; `testsuite`
//! holds one suite per port that every adapter passes.

pub mod db;
pub mod mq;
