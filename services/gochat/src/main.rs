//! `gochat`: the whole system in one process, and the operator's command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

// The system allocator keeps what password hashing used (19 MiB a hash, in every thread's arena) and is slower for
// the many small values of a message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gochat::cli::run(gochat::cli::Cli::parse())
}
