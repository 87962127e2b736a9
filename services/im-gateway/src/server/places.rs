//! How many sockets there may be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Connections;

/// Files a process needs besides its sockets, those of [`PASSING`] among them.
const SPARE_FILES: usize = 512;
/// Connections at a time that find all places taken: they are served one request, or told so. Beyond it they wait in the
/// listener's backlog.
const PASSING: usize = 128;

/// The right to have a socket.
pub(crate) enum Place {
    /// For as long as it likes.
    Own(#[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit),
    /// For one request.
    Passing(#[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit),
}

/// The places of a gateway.
pub(super) struct Places {
    own: Arc<Semaphore>,
    passing: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(limits: &Connections) -> Self {
        Self {
            own: Arc::new(Semaphore::new(max_connections(limits))),
            passing: Arc::new(Semaphore::new(PASSING)),
        }
    }

    /// The next connection. A full gateway goes on answering: who can't stay learns it at once and may go elsewhere.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, Place)> {
        let passing = self.passing.clone().acquire_owned().await;
        let passing = passing.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let place = match self.own.clone().try_acquire_owned() {
            Ok(own) => Place::Own(own),
            Err(_) => Place::Passing(passing),
        };
        Ok((stream, peer, place))
    }
}

/// The configured bound, or what the process may open.
fn max_connections(limits: &Connections) -> usize {
    let allowed = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| open_files(&text));
    let files = allowed.map_or(usize::MAX, |n| n.saturating_sub(SPARE_FILES).max(64));
    limits.max.min(files).clamp(1, Semaphore::MAX_PERMITS)
}

fn open_files(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_limit_is_read() {
        let text = "Limit  Soft  Hard\nMax open files            20000     20000    files\n";
        assert_eq!(open_files(text), Some(20_000));
    }
}
