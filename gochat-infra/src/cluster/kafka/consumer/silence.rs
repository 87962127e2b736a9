//! Tells a client that has nothing to read from one that has stopped reading.

use std::time::Duration;

use tokio::time::Instant;

/// How long a client gives nothing while its caller waits.
///
/// A record that stands at the position is no proof: it may have been written this moment and be on its way. It is
/// one when it has still not come a while later. Time in which nobody polls does not count: what came meanwhile is
/// in the client's queue.
#[derive(Debug)]
pub(super) struct Silence {
    patience: Duration,
    since: Option<Instant>,
    suspected: bool,
}

impl Silence {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: None,
            suspected: false,
        }
    }

    /// Records came, or the caller does something else: the next silence begins with the next poll.
    pub(super) fn end(&mut self) {
        (self.since, self.suspected) = (None, false);
    }

    /// Called when the client had nothing to give; `true` when it is time to see whether there is something to read.
    pub(super) fn is_long(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        // What was found missing is looked for a little later.
        let patience = match self.suspected {
            true => self.patience / 4,
            false => self.patience,
        };
        now.duration_since(since) >= patience
    }

    /// Takes what was seen; `true` when the client is stuck.
    pub(super) fn looked(&mut self, now: Instant, missing: bool) -> bool {
        let stuck = missing && self.suspected;
        (self.since, self.suspected) = (Some(now), missing);
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(8);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_record_that_is_missing_twice_in_a_row_is_a_proof() {
        let (start, mut silence) = (Instant::now(), Silence::new(PATIENCE));
        assert!(!silence.is_long(start));
        assert!(!silence.is_long(at(start, 7)));
        assert!(silence.is_long(at(start, 8)));
        assert!(!silence.looked(at(start, 8), true), "it may be on its way");
        assert!(!silence.is_long(at(start, 9)));
        assert!(silence.is_long(at(start, 10)), "looked for again soon");
        assert!(silence.looked(at(start, 10), true));
    }

    #[test]
    fn a_record_that_came_between_two_looks_clears_the_suspicion() {
        let (start, mut silence) = (Instant::now(), Silence::new(PATIENCE));
        assert!(!silence.is_long(start));
        assert!(!silence.looked(at(start, 8), true));
        silence.end();
        assert!(!silence.is_long(at(start, 10)));
        assert!(!silence.is_long(at(start, 17)));
        assert!(silence.is_long(at(start, 18)));
        assert!(!silence.looked(at(start, 18), true));
    }

    #[test]
    fn work_that_takes_long_is_no_silence() {
        let (start, mut silence) = (Instant::now(), Silence::new(PATIENCE));
        assert!(!silence.is_long(start));
        silence.end();
        assert!(!silence.is_long(at(start, 100)), "nobody polled until now");
        assert!(silence.is_long(at(start, 108)));
        assert!(!silence.looked(at(start, 108), false), "there is nothing");
        assert!(!silence.is_long(at(start, 115)));
    }
}
