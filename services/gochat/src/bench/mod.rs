//! `gochat bench`: measures a running server from outside, over real sockets.
//!
//! The parent process makes users and conversations through the public API, hands them to
//! worker processes (a process may hold 20,000 file descriptors, and a worker uses one
//! thread), tells them when to begin, adds up what they report and prints one line of JSON.
//!
//! * Sends follow a timetable fixed in advance; latency counts from the *intended* moment, so a
//!   server that stalls can't hide it by slowing the generator down.
//! * Every receiver checks the order and completeness of each conversation while it measures.
//! * The generator watches itself: when it runs behind its timetable, the line says so.

pub(crate) mod api;
mod args;
mod bare;
mod compare;
mod fanout;
pub(crate) mod frames;
mod hold;
mod listing;
mod pipeline;
pub(crate) mod plan;
mod procfs;
mod readback;
mod renew;
mod report;
pub(crate) mod seed;
mod sources;
mod stats;
mod storm;
mod swarm;
pub(crate) mod tokens;
pub(crate) mod worker;

pub use args::BenchArgs;

use crate::cli::{Failure, Outcome};
use args::Mode;

/// Runs one benchmark; the last line on stdout is its result.
///
/// # Errors
/// When the server can't be used at all. A run that finishes but breaks an invariant prints
/// its line and exits with code 1.
pub async fn run(args: BenchArgs) -> Outcome {
    let outcome = match args.mode {
        Mode::Connections(args) => hold::run(args).await,
        Mode::Pipeline(args) => pipeline::run(args).await,
        Mode::Fanout(args) => fanout::run(args).await,
        Mode::Reconnect(args) => storm::run(args).await,
        Mode::Conversations(args) => listing::conversations(args).await,
        Mode::History(args) => listing::history(args).await,
        Mode::Compare(args) => compare::run(args).await,
        Mode::Bare(args) => bare::run(args).await,
        Mode::Worker => worker::run().await,
        Mode::BareWriter => bare::writer().await,
    };
    outcome.map_err(|e| Failure::new(e.to_string()))
}

/// What a benchmark fails with: words for the person at the terminal.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
