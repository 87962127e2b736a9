//! GoChat in one process, and the operator's command line.
//!
//! [`embedded::start`] runs im-gateway, im-logic, im-repo and im-task on embedded parts; `gochat serve` is that plus
//! signals. The rest of the commands measure, check and maintain.
#![forbid(unsafe_code)]

pub mod admin;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod grpc;
