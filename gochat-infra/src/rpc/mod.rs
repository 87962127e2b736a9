//! Calls between services: one [`Channel`] type for in-process and network callees, and
//! the mapping between the error catalogue and gRPC status.

mod channel;
mod retry;
mod status;

pub use channel::Channel;
pub use retry::{Backoff, with_retry};
pub use status::{error_from, status_from};
