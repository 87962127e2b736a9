//! Frames on their way out of one connection: a queue that is empty while the kernel takes all.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Buf, Bytes};
use gochat_core::session::machine::CloseCode;
use gochat_core::session::wire;

use super::backlog::Backlog;
use super::newest::Newest;
use super::socket::Socket;
use crate::clock;

/// Frames handed to the kernel in one call.
const IOVECS: usize = 32;

/// What may wait for one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel has it, or it waits in the queue.
    Accepted,
    /// The connection is closing or closed.
    Closed,
    /// The queue ran over: the connection is being closed.
    Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame is queued or sent; the peer gets a moment to answer.
    Closing {
        since_s: u32,
    },
    /// Nothing more is read or written.
    Dead,
}

pub(super) struct Out {
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes of the queue. Every byte of this struct is paid per connection: 32 bits are enough.
    pub(super) bytes: u32,
    /// Bytes of the queue that the backlog of the process knows of. A queue is counted from the
    /// moment at which the kernel takes no more: quick readers cost the shared number nothing.
    pub(super) counted: u32,
    pub(super) backlog: Arc<Backlog>,
    /// The front has been written in part: it must be finished before anything else.
    pub(super) front_started: bool,
    /// Tick since which the kernel has taken nothing although something waits, plus one.
    pub(super) stalled_s: Option<NonZeroU32>,
    pub(super) phase: Phase,
    /// The connection's task.
    pub(super) waker: Option<Waker>,
    /// Newest messages pushed; none on a connection that was pushed nothing.
    pub(super) newest: Option<Box<Newest>>,
}

impl Out {
    pub(super) fn push(&mut self, frame: Bytes, limits: QueueLimits) -> Sent {
        let max = match self.stalled_s {
            Some(_) => self.backlog.allowance(limits.bytes),
            None => limits.bytes,
        };
        let fits = self.queue.len() < limits.frames
            && (self.bytes as usize + frame.len() <= max || self.queue.is_empty());
        if !fits {
            self.close(CloseCode::SlowConsumer, None);
            return Sent::Overflow;
        }
        self.bytes = self.bytes.saturating_add(saturated(frame.len()));
        self.queue.push_back(frame);
        if self.stalled_s.is_some() {
            self.count();
        }
        Sent::Accepted
    }

    /// Tells the backlog of the process how many bytes wait here.
    fn count(&mut self) {
        if self.counted != self.bytes {
            let (before, now) = (self.counted as usize, self.bytes as usize);
            self.backlog.recount(before, now);
            self.counted = self.bytes;
        }
    }

    /// Replaces what waits by a goodbye. Only a frame that is half out must still be finished.
    pub(super) fn close(&mut self, code: CloseCode, last_words: Option<&Bytes>) {
        // A slow consumer would never get to the goodbye behind a full queue.
        if code == CloseCode::SlowConsumer {
            self.queue.truncate(usize::from(self.front_started));
        }
        self.queue.extend(last_words.cloned());
        let goodbye = wire::close(code.get(), code.reason());
        self.queue
            .push_back(Bytes::copy_from_slice(goodbye.as_bytes()));
        self.bytes = saturated(self.queue.iter().map(Bytes::len).sum());
        self.count();
        self.phase = Phase::Closing {
            since_s: clock::ticks_s(),
        };
    }

    /// Writes until the queue is empty (true) or the kernel is full (false).
    pub(super) fn write(&mut self, socket: &Socket) -> io::Result<bool> {
        while !self.queue.is_empty() {
            let written = if self.queue.len() == 1 {
                socket.try_write(&self.queue[0])
            } else {
                let mut slices = [IoSlice::new(&[]); IOVECS];
                let n = self.queue.len().min(IOVECS);
                for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                    *slice = IoSlice::new(frame);
                }
                socket.try_write_vectored(&slices[..n])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(self.stall(socket)),
                Err(e) => return Err(e),
            }
        }
        match socket.try_flush() {
            Ok(()) => self.stalled_s = None,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(self.stall(socket)),
            Err(e) => return Err(e),
        }
        // Gives the queue's memory back: an idle connection has none.
        self.queue = VecDeque::new();
        self.count();
        Ok(true)
    }

    /// Notes that the kernel is full, and since when without any progress. False, for [`write`](Self::write).
    fn stall(&mut self, socket: &Socket) -> bool {
        if socket.take_moved() {
            self.stalled_s = None;
        }
        let now = || NonZeroU32::MIN.saturating_add(clock::ticks_s());
        self.stalled_s.get_or_insert_with(now);
        self.count();
        false
    }

    fn advance(&mut self, mut n: usize) {
        self.bytes = self.bytes.saturating_sub(saturated(n));
        self.stalled_s = None;
        self.front_started = false;
        while let Some(front) = self.queue.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.front_started = n > 0;
                return;
            }
            n -= front.len();
            self.queue.pop_front();
        }
    }

    pub(super) fn die(&mut self) {
        self.phase = Phase::Dead;
        self.queue = VecDeque::new();
        self.bytes = 0;
        self.count();
        self.wake();
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.backlog.recount(self.counted as usize, 0);
    }
}

fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
