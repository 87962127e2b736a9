//! im-logic as a process of a cluster.
#![forbid(unsafe_code)]

use std::process::ExitCode;

// As in gochat: the system allocator keeps what it was given back, and is slower for many small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    im_logic::cluster::main()
}
