//! The rules of messaging as pure code.
//!
//! No I/O, no clock, no randomness, no runtime: the caller passes time, ids and stored
//! facts in and gets decisions back as plain values. The same code runs in the servers,
//! in the client SDK and in a simulator.
#![forbid(unsafe_code)]

pub mod account;
pub mod admission;
pub mod audience;
pub mod breaker;
pub mod conversation;
pub mod error;
pub mod fanout;
pub mod friendship;
pub mod guess;
pub mod history;
pub mod ids;
pub mod membership;
pub mod memory;
pub mod message;
pub mod own_state;
pub mod page;
pub mod partition;
pub mod presence;
pub mod proof;
pub mod ratelimit;
pub mod reach;
pub mod read;
pub mod receipt;
pub mod sequence;
pub mod session;
pub mod signal;
pub mod snowflake;
pub mod step;
pub mod sync;
pub mod text;
pub mod token;
