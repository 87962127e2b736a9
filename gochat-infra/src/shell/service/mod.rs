//! A service as a process of a cluster: [`main`] is the whole of its binary.
//!
//! ```text
//! flags, environment, file ─▶ settings (all errors at once, exit 64) ─▶ logs, metrics
//!   ─▶ etcd (away? go on) ─▶ config centre ─▶ Program::run: number, log, channels, bind
//!   ─▶ registered, ready ─▶ SIGTERM ─▶ out of the registry, drained, number given back, exit 0
//! ```

mod args;
mod center;
mod connect;
mod late;
mod launch;
mod live;
mod number;
mod process;
mod program;
mod registration;
mod settings;
mod source;
#[cfg(test)]
mod tests;

use crate::port::coord::{ConfigCenter, InstanceIds, Locks, Registry};

pub use launch::main;
pub use live::Live;
pub use number::{LeasedIds, Number};
pub use process::Process;
pub use program::Program;
pub use settings::{Coord, Rpc, Server, Settings, Shared, Topics, check_jwt_secret};

/// All of coordination that the shell needs, as one object.
trait Coordination: Registry + InstanceIds + ConfigCenter + Locks {}

impl<T: Registry + InstanceIds + ConfigCenter + Locks> Coordination for T {}
