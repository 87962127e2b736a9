//! Reading a connection and checking what it brings.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use super::super::frames::{self, Kind};
use super::shared::{Shared, now_micros};
use super::writer::Writer;

/// The conversation of messages that belong to none of the run's lanes.
const WORLD: u32 = u32::MAX;

/// Reads until the connection ends.
pub(super) async fn run(index: usize, writer: Writer, mut rest: Vec<u8>, shared: Rc<Shared>) {
    let mut reader = Reader {
        index,
        newest: Newest::default(),
        shared,
    };
    if !rest.is_empty() {
        let used = reader.take(&rest, &writer).unwrap_or(rest.len());
        // Without the rest of its capacity.
        rest = rest.split_off(used);
    }
    while writer.stream().readable().await.is_ok() {
        match reader.read(&writer, &mut rest) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    reader.shared.counts.borrow_mut().closed += 1;
}

struct Reader {
    index: usize,
    newest: Newest,
    shared: Rc<Shared>,
}

/// Newest number per conversation. Most connections have one conversation or none, and there may be a million.
#[derive(Default)]
struct Newest {
    first: Option<(u32, u64)>,
    others: HashMap<u32, u64>,
}

impl Newest {
    /// The number of a conversation, `start` when there was none.
    fn of(&mut self, conversation: u32, start: u64) -> &mut u64 {
        match &mut self.first {
            Some((known, _)) if *known != conversation => {
                self.others.entry(conversation).or_insert(start)
            }
            first => &mut first.get_or_insert((conversation, start)).1,
        }
    }
}

/// The server closed the connection.
struct Closed;

impl Reader {
    /// Reads all there is, through the buffer all connections share.
    fn read(&mut self, writer: &Writer, rest: &mut Vec<u8>) -> io::Result<()> {
        let shared = self.shared.clone();
        let mut buffer = shared.buffer.borrow_mut();
        loop {
            let n = writer.stream().try_read(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            shared.bytes.set(shared.bytes.get() + n as u64);
            if shared.plan.bare {
                continue;
            }
            let full = n == buffer.len();
            let taken = if rest.is_empty() {
                let used = self.take(&buffer[..n], writer);
                used.map(|used| rest.extend_from_slice(&buffer[used..n]))
            } else {
                rest.extend_from_slice(&buffer[..n]);
                let used = self.take(rest, writer);
                used.map(|used| drop(rest.drain(..used)))
            };
            taken.map_err(|Closed| io::Error::from(io::ErrorKind::ConnectionAborted))?;
            if rest.is_empty() {
                // An idle connection keeps no buffer.
                *rest = Vec::new();
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Handles all complete frames; gives the bytes they took.
    fn take(&mut self, bytes: &[u8], writer: &Writer) -> Result<usize, Closed> {
        let mut used = 0;
        // One look at the clock per read is enough: all of it was there at this moment.
        let now = now_micros();
        while let Some((opcode, payload, len)) = frames::next(&bytes[used..]) {
            used += len;
            match opcode {
                1 => self.handle(payload, now),
                9 => {
                    let mut pong = Vec::new();
                    frames::push(10, payload, &mut pong);
                    writer.write(&pong);
                }
                8 => return Err(Closed),
                _ => {}
            }
        }
        Ok(used)
    }

    fn handle(&mut self, frame: &[u8], now: u64) {
        match frames::kind(frame) {
            Kind::NewMessage => self.handle_message(frame, now),
            Kind::Ack => {
                self.shared.handle_ack(frame, now);
                if self.shared.plan.one_conversation {
                    self.note(WORLD, frames::seq(frame).unwrap_or(0), false);
                }
            }
            Kind::ChangeAck => self.shared.counts.borrow_mut().edits_acked += 1,
            Kind::Error => {
                let mut counts = self.shared.counts.borrow_mut();
                if self.shared.own_mark(frame).is_none() && self.shared.plan.edit_every > 0 {
                    counts.edits_refused += 1;
                } else {
                    counts.errors += 1;
                }
                if counts.error_code.is_empty() {
                    frames::code(frame)
                        .unwrap_or("?")
                        .clone_into(&mut counts.error_code);
                }
            }
            Kind::Other => {}
        }
    }

    fn handle_message(&mut self, frame: &[u8], now: u64) {
        let mark = self.shared.own_mark(frame);
        let seq = frames::seq(frame).unwrap_or(0);
        let conversation = match (&mark, self.shared.plan.one_conversation) {
            (_, true) => WORLD,
            (Some(mark), false) => mark.conversation,
            // Somebody else's chatter in the world chat.
            (None, false) => return,
        };
        let first_time = self.note(conversation, seq, true);
        if let Some(mark) = mark.filter(|_| first_time) {
            self.shared.handle_delivery(&mark, now);
        }
    }

    /// Checks a number against those before it. False for one that was here already.
    ///
    /// An acknowledgement may overtake pushes of others, so it only fills a gap or makes one.
    fn note(&mut self, conversation: u32, seq: u64, pushed: bool) -> bool {
        let newest = self.newest.of(conversation, seq.saturating_sub(1));
        let mut missing = self.shared.missing.borrow_mut();
        if seq > *newest {
            // Bounded: a run that loses more than this has failed anyway.
            for lost in (*newest + 1..seq).take(10_000) {
                missing.insert((self.index, conversation, lost));
            }
            *newest = seq;
            return true;
        }
        let late = missing.remove(&(self.index, conversation, seq));
        let mut counts = self.shared.counts.borrow_mut();
        if late && pushed {
            counts.out_of_order += 1;
        } else if !late {
            counts.repeats += 1;
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::Newest;

    #[test]
    fn each_conversation_has_its_own_number() {
        let mut newest = Newest::default();
        for (conversation, start) in [(7, 1), (8, 2), (9, 3)] {
            assert_eq!(*newest.of(conversation, start), start);
            *newest.of(conversation, 0) += 10;
        }
        assert_eq!([7, 8, 9].map(|c| *newest.of(c, 0)), [11, 12, 13]);
    }
}
