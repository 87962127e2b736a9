//! The timetable: message `k` of a worker is to be sent at `start + k / rate`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::stats::Latency;
use super::shared::{Sender, Shared, now_micros};

/// What the timetable's thread counted so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    shed: AtomicU64,
    stop: AtomicBool,
}

impl Tally {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

/// The running timetable.
pub(super) struct Pacer {
    thread: JoinHandle<Latency>,
    tally: Arc<Tally>,
}

impl Pacer {
    /// Stops it; gives how far it was behind.
    pub(super) fn finish(self) -> Latency {
        self.tally.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Latency::new())
    }
}

/// Takes the senders and starts at `start` (Unix microseconds).
pub(super) fn start(shared: &Shared, start: u64, end: u64) -> Pacer {
    let senders = std::mem::take(&mut *shared.senders.borrow_mut());
    let (rate, tally) = (shared.plan.rate, shared.paced.clone());
    let counted = tally.clone();
    let thread = std::thread::spawn(move || pace(senders, rate, start, end, &counted));
    Pacer { thread, tally }
}

fn pace(mut senders: Vec<Sender>, rate: f64, start: u64, end: u64, tally: &Tally) -> Latency {
    let mut lag = Latency::new();
    let mut frame = Vec::new();
    if senders.is_empty() {
        return lag;
    }
    for k in 0u64.. {
        let intended = start + (k as f64 * 1e6 / rate) as u64;
        if intended >= end || tally.stop.load(Ordering::Relaxed) {
            break;
        }
        let mut now = now_micros();
        while now < intended {
            std::thread::sleep(Duration::from_micros(intended - now));
            now = now_micros();
        }
        lag.record(now - intended);
        let at = usize::try_from(k).unwrap_or(0) % senders.len();
        let sender = &mut senders[at];
        frame.clear();
        sender.composer.compose(intended, &mut frame);
        let counter = if sender.writer.write(&frame) {
            &tally.sent
        } else {
            &tally.shed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if at == 0 {
            senders.iter().for_each(|s| s.writer.flush());
        }
    }
    senders.iter().for_each(|s| s.writer.flush());
    lag
}
