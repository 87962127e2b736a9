//! The stream of a connection, plain or under TLS, as long as it speaks HTTP: a peer that takes
//! nothing is not waited for.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::metrics as names;

/// Bytes that count as progress within the time a write may take. A peer that takes fewer in it is
/// cut off: a trickle would hold an answer in memory for hours.
const PROGRESS: usize = 16 << 10;

/// See the module.
pub(crate) struct Stream<S> {
    io: S,
    patience: Duration,
    /// Armed while something waits to be written.
    stall: Option<Pin<Box<Sleep>>>,
    /// Bytes the peer took since the timer was armed.
    taken: usize,
}

impl<S> Stream<S> {
    pub(super) fn new(io: S, patience: Duration) -> Self {
        Self {
            io,
            patience,
            stall: None,
            taken: 0,
        }
    }

    /// Gives the stream to what speaks another protocol on it.
    pub(crate) fn into_inner(self) -> S {
        self.io
    }

    /// Passes a write's outcome on, and an error when the peer has had its time.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &outcome {
            Poll::Ready(Ok(taken)) => {
                self.taken = self.taken.saturating_add(bytes(taken));
                if self.taken >= PROGRESS {
                    self.rest();
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let patience = self.patience;
                let stall = self
                    .stall
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                if stall.as_mut().poll(cx).is_ready() {
                    names::count(names::CONNECTIONS_CUT, "reason", "write");
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        outcome
    }

    fn rest(&mut self) {
        self.stall = None;
        self.taken = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, outcome, |n| *n)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, outcome, |n| *n)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        let outcome = self.watch(cx, outcome, |()| 0);
        if outcome.is_ready() {
            // Nothing waits any more.
            self.rest();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, outcome, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_the_write() {
        let (near, _far) = tokio::io::duplex(1_024);
        let mut stream = Stream::new(near, PATIENCE);
        let began = tokio::time::Instant::now();
        let error = stream.write_all(&[0; 4_096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_no_progress_and_a_slow_reader_is() {
        for (piece, survives) in [(100, false), (4_000, true)] {
            let (near, mut far) = tokio::io::duplex(4_096);
            let reader = tokio::spawn(async move {
                let mut buffer = vec![0; piece];
                while far.read_exact(&mut buffer).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let mut stream = Stream::new(near, PATIENCE);
            let outcome = stream.write_all(&[0; 200_000]).await;
            assert_eq!(outcome.is_ok(), survives, "{piece} bytes a second");
            reader.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_answers_counts_for_nothing() {
        let (near, mut far) = tokio::io::duplex(1_024);
        let mut stream = Stream::new(near, PATIENCE);
        for _ in 0..5 {
            stream.write_all(&[0; 1_024]).await.unwrap();
            stream.flush().await.unwrap();
            tokio::time::sleep(4 * PATIENCE).await;
            far.read_exact(&mut [0; 1_024]).await.unwrap();
        }
    }
}
