//! The socket of a connection: plain, or under TLS. Both are read and written by readiness and from
//! any thread; a plain one costs nothing beyond the stream itself.

use std::io::{self, IoSlice, Read as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Encrypted bytes that may wait for the kernel, per connection: about one record.
const SEALED_MAX: usize = 16 << 10;

/// See the module.
pub(crate) enum Socket {
    /// As it comes.
    Plain(TcpStream),
    /// Encrypted. Boxed, so that plain connections don't carry its room.
    Tls(Box<Tls>),
}

/// A socket under TLS.
pub(crate) struct Tls {
    tcp: TcpStream,
    session: Mutex<ServerConnection>,
    /// Plaintext may be waiting although the kernel has nothing to read.
    leftover: AtomicBool,
    /// Encrypted bytes went out since somebody asked.
    moved: AtomicBool,
    /// Reading left something to write that the kernel did not take.
    stuck: AtomicBool,
}

impl Socket {
    /// A socket whose handshake is done.
    pub(crate) fn tls(tcp: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(SEALED_MAX));
        Self::Tls(Box::new(Tls {
            tcp,
            session: Mutex::new(session),
            leftover: AtomicBool::new(true),
            moved: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
        }))
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_read_ready(cx),
            Self::Tls(tls) if tls.leftover.load(Ordering::Relaxed) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.tcp.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_write_ready(cx),
            Self::Tls(tls) => tls.tcp.poll_write_ready(cx),
        }
    }

    /// Reads once; `Ok(0)` is the end.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => read(tcp, buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Takes as much as it can. Under TLS, what was taken may still wait for
    /// [`try_flush`](Self::try_flush).
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write(bytes),
            Self::Tls(tls) => tls.write(|session| session.writer().write(bytes)),
        }
    }

    /// Like [`try_write`](Self::try_write), with several slices in one go.
    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write_vectored(slices),
            Self::Tls(tls) => tls.write(|session| session.writer().write_vectored(slices)),
        }
    }

    /// Hands over what was taken and not written: `WouldBlock` while the kernel is full.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.push(&mut tls.session.lock()),
        }
    }

    /// Whether encrypted bytes have gone out since the last time this was asked: progress that the
    /// plain counts don't show.
    pub(super) fn take_moved(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.moved.swap(false, Ordering::Relaxed),
        }
    }

    /// Whether reading has left something to be written, such as the answer to a key update.
    pub(super) fn take_stuck(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.stuck.swap(false, Ordering::Relaxed),
        }
    }

    /// Tells the peer that the end is meant, as far as the kernel takes it.
    pub(super) fn say_goodbye(&self) {
        if let Self::Tls(tls) = self {
            let mut session = tls.session.lock();
            session.send_close_notify();
            let _ = tls.push(&mut session);
        }
    }
}

impl Tls {
    /// One read from the kernel at most, so that nobody keeps a thread busy with empty records.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        match self.take_plaintext(&mut session, buffer) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
        if session.read_tls(&mut Wire(&self.tcp))? == 0 {
            return Ok(0);
        }
        let processed = session.process_new_packets();
        if let Err(e) = self.push(&mut session)
            && e.kind() == io::ErrorKind::WouldBlock
        {
            self.stuck.store(true, Ordering::Relaxed);
        }
        processed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.take_plaintext(&mut session, buffer)
    }

    fn take_plaintext(
        &self,
        session: &mut ServerConnection,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let taken = session.reader().read(buffer);
        let filled = taken.as_ref().is_ok_and(|n| *n == buffer.len());
        self.leftover.store(filled, Ordering::Relaxed);
        taken
    }

    /// Encrypts one record's worth, once what was encrypted before is out.
    fn write(
        &self,
        seal: impl FnOnce(&mut ServerConnection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut session = self.session.lock();
        self.push(&mut session)?;
        let taken = seal(&mut session)?;
        match self.push(&mut session) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(taken),
        }
    }

    fn push(&self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            if session.write_tls(&mut Wire(&self.tcp))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.moved.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The TCP side of a TLS session.
struct Wire<'a>(&'a TcpStream);

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(self.0, buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads once. A read that does not fill the buffer has emptied the socket: saying so to the
/// runtime saves the second read that would only find nothing.
fn read(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    let outcome = socket.try_io(Interest::READABLE, || {
        got = socket.try_read(buffer)?;
        if got > 0 && got < buffer.len() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(got)
        }
    });
    if got > 0 { Ok(got) } else { outcome }
}
