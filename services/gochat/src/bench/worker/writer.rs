//! The sending half of a connection, shared by the timetable and the reader.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;

/// Bytes that may wait for a socket; beyond that sends are dropped and counted.
const MAX_PENDING: usize = 1 << 20;

/// Writes whole frames; what a socket doesn't take waits here.
#[derive(Clone)]
pub(super) struct Writer(Arc<Half>);

struct Half {
    stream: TcpStream,
    pending: Mutex<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Half {
            stream,
            pending: Mutex::default(),
        }))
    }

    /// For reading.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.0.stream
    }

    /// Writes a frame or keeps it; false when too much is waiting already.
    pub(super) fn write(&self, frame: &[u8]) -> bool {
        let mut pending = self
            .0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if pending.len() > MAX_PENDING {
            return false;
        }
        let written = if pending.is_empty() {
            self.0.stream.try_write(frame).unwrap_or(0)
        } else {
            0
        };
        pending.extend_from_slice(&frame[written..]);
        true
    }

    /// Tries again what waits.
    pub(super) fn flush(&self) {
        let mut pending = self
            .0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !pending.is_empty() {
            match self.0.stream.try_write(&pending) {
                Ok(n) => drop(pending.drain(..n)),
                Err(_) => return,
            }
        }
    }
}
