//! The log of arrivals in memory.

use std::collections::VecDeque;

use gochat_core::ids::{UnixMillis, UserId};

use crate::port::presence::{ARRIVALS_KEPT, Arrival, Arrivals};

/// The newest arrivals, numbered from the start of the process.
pub(super) struct ArrivalLog {
    kept: VecDeque<Arrival>,
    /// Arrivals there ever were; the oldest one kept has the number `total - kept.len()`.
    total: u64,
    /// Positions name the run: those of an earlier process mean nothing here.
    run: u64,
}

impl Default for ArrivalLog {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            total: 0,
            run: rand::random(),
        }
    }
}

impl ArrivalLog {
    pub(super) fn push(&mut self, user: UserId, gateway: Box<str>, at: UnixMillis) {
        if self.kept.len() >= ARRIVALS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Arrival { user, gateway, at });
        self.total += 1;
    }

    pub(super) fn after(&self, position: &str, limit: usize) -> Arrivals {
        let oldest = self.total - self.kept.len() as u64;
        let wanted = self.number(position);
        let from = match wanted {
            Some(from) => from.max(oldest),
            None if position.is_empty() => self.total,
            None => oldest,
        };
        let start = usize::try_from(from - oldest).unwrap_or(self.kept.len());
        let list: Vec<_> = self.kept.iter().skip(start).take(limit).cloned().collect();
        let next = self.position(from + list.len() as u64);
        Arrivals {
            list,
            next,
            gap: wanted.is_none_or(|wanted| wanted < oldest),
        }
    }

    fn position(&self, number: u64) -> Box<str> {
        format!("{:x}/{number}", self.run).into()
    }

    fn number(&self, position: &str) -> Option<u64> {
        let (run, number) = position.split_once('/')?;
        let number = number.parse().ok()?;
        let same_run = u64::from_str_radix(run, 16) == Ok(self.run);
        (same_run && number <= self.total).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserId {
        UserId::new(1).unwrap()
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_a_gap() {
        let mut log = ArrivalLog::default();
        let start = log.after("", 10).next;
        for at in 0..=ARRIVALS_KEPT as u64 {
            log.push(user(), "gw".into(), at);
        }
        assert_eq!(log.kept.len(), ARRIVALS_KEPT);
        let read = log.after(&start, 2);
        assert!(read.gap);
        assert_eq!(read.list[0].at, 1);
        let rest = log.after(&read.next, usize::MAX);
        assert!(!rest.gap);
        assert_eq!(rest.list.len(), ARRIVALS_KEPT - 2);
    }
}
