//! One connection as the rest of the gateway sees it: who it is, and a way to put frames on it
//! from any thread.
//!
//! A delivering thread writes straight to the socket while nothing waits; what the kernel does not
//! take waits in a bounded queue that exists only then, and the connection's task
//! ([`super::io`]) finishes it. No buffer, no timer and no channel belongs to an idle connection.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use super::backlog::Backlog;
use super::newest::Spot;
use super::out::{Out, Phase};
pub(crate) use super::out::{QueueLimits, Sent};
use super::socket::Socket;
use crate::clock;
use crate::presence::Gone;
use crate::revocations::Scope;
use crate::tokens::Identity;
use bytes::Bytes;
use gochat_core::ids::{ConnId, UserId};
use gochat_core::session::machine::CloseCode;
use gochat_core::token::SessionId;
use parking_lot::Mutex;

/// Whole seconds after which a connection's client has read history and repairs gaps by itself. Until then it may have
/// looked for what is missing before the row was there. `gochat check` holds connections to strict order some seconds later.
const SETTLED_S: i64 = 2;
/// Seconds a closing connection may take to say goodbye.
const LINGER_S: u32 = 2;

/// A registered (or registering) WebSocket.
pub(crate) struct Conn {
    id: ConnId,
    user: UserId,
    session: SessionId,
    issued_at: AtomicI64,
    expires_at: AtomicI64,
    heard_s: AtomicU32,
    pinged_s: AtomicU32,
    reported_s: AtomicU32,
    /// When the message that is still coming began, plus one; 0 between messages.
    begun_s: AtomicU32,
    signed_out: AtomicBool,
    timed_out: AtomicBool,
    retired: AtomicBool,
    /// See [`world_since`](Self::world_since).
    world_since: AtomicI64,
    socket: OnceLock<Socket>,
    out: Mutex<Out>,
    about: Box<About>,
}

/// What is rarely looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// Name of the user, when the token carries it.
    pub(crate) username: Option<Box<str>>,
    /// Device the client named.
    pub(crate) device: Option<Box<str>>,
    /// What the client says about itself.
    pub(crate) client_info: Box<str>,
    /// Where the client connects from.
    pub(crate) address: Option<IpAddr>,
    /// Unix seconds.
    pub(crate) connected_at: i64,
}

impl Conn {
    /// A connection without a socket yet: what is sent waits.
    pub(crate) fn new(
        id: ConnId,
        identity: &Identity,
        about: About,
        backlog: Arc<Backlog>,
    ) -> Self {
        let now = clock::ticks_s();
        Self {
            id,
            user: identity.user,
            session: identity.session,
            issued_at: AtomicI64::new(identity.issued_at),
            expires_at: AtomicI64::new(identity.expires_at),
            heard_s: AtomicU32::new(now),
            pinged_s: AtomicU32::new(now),
            reported_s: AtomicU32::new(now),
            begun_s: AtomicU32::new(0),
            signed_out: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            world_since: AtomicI64::new(0),
            socket: OnceLock::new(),
            out: Mutex::new(Out {
                queue: VecDeque::new(),
                bytes: 0,
                counted: 0,
                backlog,
                front_started: false,
                stalled_s: None,
                phase: Phase::Open,
                waker: None,
                newest: None,
            }),
            about: Box::new(about),
        }
    }

    pub(crate) fn id(&self) -> ConnId {
        self.id
    }

    pub(crate) fn user(&self) -> UserId {
        self.user
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Unix seconds at which the token expires.
    pub(crate) fn expires_at(&self) -> i64 {
        self.expires_at.load(Ordering::Relaxed)
    }

    /// Lets the connection live as long as a newer token of its session. False, and nothing done,
    /// for a token of another user or session.
    pub(crate) fn extend(&self, identity: &Identity) -> bool {
        if (identity.user, identity.session) != (self.user, self.session) {
            return false;
        }
        // The older of two tokens takes nothing away.
        self.issued_at
            .fetch_max(identity.issued_at, Ordering::Relaxed);
        self.expires_at
            .fetch_max(identity.expires_at, Ordering::Relaxed);
        true
    }

    /// Whether the end of a session closes this connection.
    pub(crate) fn is_covered_by(&self, scope: Scope) -> bool {
        match scope {
            Scope::Session(session) => self.session == session,
            Scope::User(user, cut) => {
                self.user == user && self.issued_at.load(Ordering::Relaxed) < cut
            }
            Scope::Everyone(cut) => self.issued_at.load(Ordering::Relaxed) < cut,
        }
    }

    /// Gives the connection its socket; what waited goes out with the task's first poll.
    pub(crate) fn attach(&self, socket: Socket) {
        let _ = self.socket.set(socket);
        self.note_heard();
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        self.socket.get()
    }

    /// Notes a sign of life.
    pub(crate) fn note_heard(&self) {
        self.heard_s.store(clock::ticks_s(), Ordering::Relaxed);
    }

    pub(crate) fn heard_s(&self) -> u32 {
        self.heard_s.load(Ordering::Relaxed)
    }

    /// Notes that a message has begun and is not complete, or that none is on its way.
    pub(crate) fn note_partial(&self, is_partial: bool) {
        let begun = if is_partial { clock::ticks_s() + 1 } else { 0 };
        self.begun_s.store(begun, Ordering::Relaxed);
    }

    /// Seconds for which a message has been on its way; 0 between messages.
    pub(crate) fn partial_for_s(&self, now_s: u32) -> u32 {
        match self.begun_s.load(Ordering::Relaxed) {
            0 => 0,
            begun => (now_s + 1).saturating_sub(begun),
        }
    }

    pub(crate) fn pinged_s(&self) -> u32 {
        self.pinged_s.load(Ordering::Relaxed)
    }

    /// Puts the moment of the last ping; also used to spread first pings over the interval.
    pub(crate) fn set_pinged_s(&self, at: u32) {
        self.pinged_s.store(at, Ordering::Relaxed);
    }

    /// Whether presence should hear of this connection again; counts as heard when true.
    pub(crate) fn take_report(&self, now_s: u32, every_s: u32) -> bool {
        let due = now_s.saturating_sub(self.reported_s.load(Ordering::Relaxed)) >= every_s;
        if due {
            self.reported_s.store(now_s, Ordering::Relaxed);
        }
        due
    }

    /// When presence heard of this connection last.
    pub(crate) fn reported_s(&self) -> u32 {
        self.reported_s.load(Ordering::Relaxed)
    }

    /// Remembers why the connection is about to end.
    pub(crate) fn set_gone(&self, why: Gone) {
        match why {
            Gone::Logout => self.signed_out.store(true, Ordering::Relaxed),
            Gone::Timeout => self.timed_out.store(true, Ordering::Relaxed),
            Gone::Disconnect => {}
        }
    }

    /// Whether its client has had the time to read history. While it hasn't, what it may have missed comes at once, in any
    /// order.
    pub(crate) fn is_settled(&self) -> bool {
        clock::now_s() - self.about.connected_at >= SETTLED_S
    }

    /// Messages of the world chat with a greater number that were broadcast here were broadcast to this connection, too.
    pub(crate) fn world_since(&self) -> i64 {
        self.world_since.load(Ordering::Relaxed)
    }

    /// Puts [`world_since`](Self::world_since), before the connection is in the table.
    pub(crate) fn set_world_since(&self, seq: i64) {
        self.world_since.store(seq, Ordering::Relaxed);
    }

    /// True the first time: the connection is to be forgotten here and in presence.
    pub(crate) fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::Relaxed)
    }

    /// Why the connection ended.
    pub(crate) fn gone(&self) -> Gone {
        if self.signed_out.load(Ordering::Relaxed) {
            Gone::Logout
        } else if self.timed_out.load(Ordering::Relaxed) {
            Gone::Timeout
        } else {
            Gone::Disconnect
        }
    }

    /// Sends a frame at once if nothing waits before it, else queues it.
    pub(crate) fn send(&self, frame: &Bytes, limits: QueueLimits) -> Sent {
        self.send_message(frame, limits, Spot::NONE)
    }

    /// [`send`](Self::send) for the frame of a message, or for several of one conversation with the
    /// place of the newest; see [`enqueue_message`](Self::enqueue_message).
    pub(crate) fn send_message(&self, frame: &Bytes, limits: QueueLimits, spot: Spot) -> Sent {
        let mut out = self.out.lock();
        if out.phase != Phase::Open {
            return Sent::Closed;
        }
        if !self.admits(&mut out, spot) {
            return Sent::Accepted;
        }
        let mut written = 0;
        if out.queue.is_empty()
            && let Some(socket) = self.socket.get()
        {
            match socket.try_write(frame) {
                Ok(n) if n == frame.len() => {
                    if socket.try_flush().is_err() {
                        // Taken and not out yet: the task sees to it.
                        out.wake();
                    }
                    return Sent::Accepted;
                }
                Ok(n) => written = n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    out.die();
                    return Sent::Closed;
                }
            }
        }
        out.front_started |= written > 0;
        let sent = out.push(frame.slice(written..), limits);
        out.wake();
        sent
    }

    /// Queues a frame; the caller calls [`flush`](Self::flush) when it has no more. The second
    /// value is true when nothing waited before.
    pub(crate) fn enqueue(&self, frame: &Bytes, limits: QueueLimits) -> (Sent, bool) {
        self.enqueue_message(frame, limits, Spot::NONE)
    }

    /// [`enqueue`](Self::enqueue) for the frame of a message. A late one that a later one has overtaken is left out once
    /// the connection has settled: its client has seen the gap, and history has what is missing.
    pub(crate) fn enqueue_message(
        &self,
        frame: &Bytes,
        limits: QueueLimits,
        spot: Spot,
    ) -> (Sent, bool) {
        let mut out = self.out.lock();
        if out.phase != Phase::Open {
            return (Sent::Closed, false);
        }
        if !self.admits(&mut out, spot) {
            return (Sent::Accepted, false);
        }
        let first = out.queue.is_empty();
        let sent = out.push(frame.clone(), limits);
        if sent == Sent::Overflow {
            out.wake();
        }
        (sent, first)
    }

    /// Notes a push; false for one that is left out.
    fn admits(&self, out: &mut Out, spot: Spot) -> bool {
        spot.conversation == 0
            || out.newest.get_or_insert_default().admits(spot)
            || !self.is_settled()
    }

    /// Conversations, as hashes, that the connection was pushed messages of, the last ones only.
    pub(crate) fn pushed(&self) -> Vec<u64> {
        let out = self.out.lock();
        let newest = out.newest.iter();
        newest.flat_map(|newest| newest.conversations()).collect()
    }

    /// Writes what waits, from the caller's thread; what the kernel does not take is left to the task.
    pub(crate) fn flush(&self) {
        let Some(socket) = self.socket.get() else {
            return;
        };
        let mut out = self.out.lock();
        match out.write(socket) {
            Ok(true) => {}
            Ok(false) => out.wake(),
            Err(_) => out.die(),
        }
    }

    /// Sends a last frame if there is one, then the close frame, and lets the peer go. False, and
    /// nothing done, when that happened before.
    pub(crate) fn close(&self, code: CloseCode, last_words: Option<&Bytes>) -> bool {
        let mut out = self.out.lock();
        if out.phase != Phase::Open {
            return false;
        }
        out.close(code, last_words);
        out.wake();
        true
    }

    /// Drops the connection without a word.
    pub(crate) fn kill(&self) {
        self.out.lock().die();
    }

    /// Whether nothing more will be read or written.
    pub(crate) fn is_dead(&self) -> bool {
        self.out.lock().phase == Phase::Dead
    }

    /// A connection for tests, without a socket.
    #[cfg(test)]
    pub(crate) fn for_test(user: u64, id: ConnId) -> Arc<Conn> {
        Self::with_backlog(user, id, Arc::new(Backlog::new(usize::MAX)))
    }

    /// The same, counted by this backlog.
    #[cfg(test)]
    pub(crate) fn with_backlog(user: u64, id: ConnId, backlog: Arc<Backlog>) -> Arc<Conn> {
        let identity = Identity {
            user: UserId::new(user).expect("a user id"),
            guest: false,
            username: None,
            session: SessionId::new(0),
            issued_at: 0,
            expires_at: i64::MAX,
        };
        Arc::new(Self::new(id, &identity, About::default(), backlog))
    }

    /// Whether frames are still accepted.
    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.out.lock().phase == Phase::Open
    }

    /// Closes what overstayed: a goodbye that is not answered, a write without progress.
    /// True when a stalled write was the reason.
    pub(crate) fn enforce_deadlines(&self, now_s: u32, write_timeout_s: u32) -> bool {
        let mut out = self.out.lock();
        match out.phase {
            Phase::Closing { since_s } if now_s.saturating_sub(since_s) >= LINGER_S => out.die(),
            Phase::Open => {
                let stalled = out
                    .stalled_s
                    .is_some_and(|s| (now_s + 1).saturating_sub(s.get()) >= write_timeout_s);
                if stalled {
                    out.die();
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    /// The task's half of writing: flushes, and asks to be woken when there is room again.
    /// `Ready(Err)` means the connection is over; `Ready(Ok(true))` that only a goodbye is left to read.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(socket) = self.socket.get() else {
            return Poll::Pending;
        };
        let mut out = self.out.lock();
        if !out.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            out.waker = Some(cx.waker().clone());
        }
        loop {
            if out.phase == Phase::Dead {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if out.write(socket)? {
                return Poll::Ready(Ok(out.phase != Phase::Open));
            }
            match socket.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The task is gone: frees what it held.
    pub(super) fn finish(&self) {
        let mut out = self.out.lock();
        out.die();
        out.waker = None;
        if let Some(socket) = self.socket.get() {
            socket.say_goodbye();
        }
    }
}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
