//! `gochat`: the whole system in one process, and the operator's command line.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    gochat::cli::run(gochat::cli::Cli::parse())
}
