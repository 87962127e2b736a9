//! The task of one connection: reads into a buffer all connections of a thread share, finishes
//! writes the delivering threads left over. A hand-written future, because every byte of it is
//! paid once per connection.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use gochat_core::session::machine::{Admission, CloseCode, ServerSession};
use gochat_core::session::wire::{self, Decoder, Item, Message};

use super::conn::Conn;
use super::inbound;
use crate::clock;
use crate::metrics as names;
use crate::server::Permit;
use crate::state::Gw;

const SCRATCH: usize = 16 << 10;
/// Reads in one poll before other connections get their turn.
const READS_PER_POLL: usize = 8;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Bytes of unfinished messages, over all connections.
#[derive(Debug, Default)]
pub(crate) struct HeldBytes(AtomicUsize);

/// Runs a connection until it is over.
pub(crate) struct ConnTask {
    gw: Gw,
    conn: Arc<Conn>,
    decoder: Decoder,
    session: ServerSession,
    /// The start of a frame whose end has not arrived; empty (and unallocated) otherwise.
    partial: Vec<u8>,
    /// The right to have a socket; given back with it.
    _permit: Option<Permit>,
    /// What this connection counts for in [`HeldBytes`].
    held: usize,
    /// The peer said goodbye: what is left to write is all that is left to do.
    peer_done: bool,
    /// Nothing that arrives counts any more.
    deaf: bool,
}

impl ConnTask {
    /// The task of an attached connection.
    pub(crate) fn new(gw: Gw, conn: Arc<Conn>, permit: Option<Permit>) -> Self {
        names::ws_connections(1.0);
        let session = ServerSession::new(&gw.ws_rules, clock::ticks_ms());
        Self {
            gw,
            conn,
            decoder: Decoder::new(),
            session,
            partial: Vec::new(),
            _permit: permit,
            held: 0,
            peer_done: false,
            deaf: false,
        }
    }

    /// Handles bytes from the peer; they are scratch afterwards.
    pub(crate) fn take_in(&mut self, chunk: &mut [u8]) {
        if self.deaf {
            return;
        }
        self.conn.note_heard();
        if self.partial.is_empty() {
            let consumed = self.decode(chunk);
            if consumed < chunk.len() && !self.deaf {
                self.partial = chunk[consumed..].to_vec();
            }
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(chunk);
            let consumed = self.decode(&mut partial);
            if consumed < partial.len() && !self.deaf {
                partial.drain(..consumed);
                self.partial = partial;
            }
        }
        self.account();
    }

    /// Decodes and handles complete messages; gives the number of bytes that are used up.
    fn decode(&mut self, buf: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            let decoded = match self.decoder.decode(&self.gw.ws_limits, &mut buf[at..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    inbound::refuse_stream(&self.gw, &self.conn, error);
                    self.deaf = true;
                    return buf.len();
                }
            };
            at += decoded.consumed;
            let Item::Message(message) = decoded.item else {
                return at;
            };
            self.session_admits(message);
            if self.deaf {
                return buf.len();
            }
        }
    }

    fn session_admits(&mut self, message: Message<'_>) {
        if let Message::Close(frame) = &message {
            let code = frame.as_ref().map_or(CloseCode::Normal, |f| {
                CloseCode::from_u16(f.code).unwrap_or(CloseCode::Normal)
            });
            self.conn.close(code, None);
            (self.deaf, self.peer_done) = (true, true);
            return;
        }
        match self.session.admit(&self.gw.ws_rules, clock::ticks_ms()) {
            Admission::Accept => inbound::handle(&self.gw, &self.conn, message),
            Admission::Limited => inbound::refuse_message(&self.gw, &self.conn, &message),
            Admission::Close => {
                self.gw.close(&self.conn, CloseCode::Policy, "flood");
                self.deaf = true;
            }
        }
    }

    /// Keeps the sum of unfinished messages within its bound.
    fn account(&mut self) {
        if self.deaf {
            self.partial = Vec::new();
            self.decoder = Decoder::new();
        }
        let held = self.partial.capacity() + self.decoder.held();
        if held == self.held {
            return;
        }
        if (held > 0) != (self.held > 0) {
            self.conn.note_partial(held > 0);
        }
        let total = &self.gw.held_bytes.0;
        total.fetch_add(held, Ordering::Relaxed);
        let sum = total.fetch_sub(self.held, Ordering::Relaxed) - self.held;
        let grew = held > self.held;
        self.held = held;
        if grew && sum > self.gw.config.websocket.max_partial_bytes {
            self.gw.close(&self.conn, CloseCode::Policy, "memory");
            self.deaf = true;
            self.account();
        }
    }

    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.conn.poll_flush(cx) {
            Poll::Ready(Ok(closing)) => {
                self.deaf |= closing;
                if closing && self.peer_done {
                    return Poll::Ready(());
                }
            }
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            // Full: reads go on, so that a busy peer's pongs still count as signs of life.
            Poll::Pending => {}
        }
        let conn = Arc::clone(&self.conn);
        let Some(socket) = conn.socket() else {
            return Poll::Pending;
        };
        for _ in 0..READS_PER_POLL {
            match socket.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    if socket.take_stuck() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
            let read = BUFFER.with_borrow_mut(|buffer| {
                let read = socket.try_read(buffer);
                if let Ok(n) = read {
                    self.take_in(&mut buffer[..n]);
                }
                read
            });
            match read {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for ConnTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_io(cx)
    }
}

impl Drop for ConnTask {
    fn drop(&mut self) {
        self.gw.held_bytes.0.fetch_sub(self.held, Ordering::Relaxed);
        self.conn.finish();
        self.gw.retire(&self.conn);
        names::ws_connections(-1.0);
    }
}

/// A ping frame without payload.
pub(crate) fn ping() -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(wire::ping(&[]).as_bytes())
}

#[cfg(test)]
#[path = "io_tests.rs"]
mod tests;
