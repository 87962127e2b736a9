//! Finding the counter of a proof.

use sha2::{Digest as _, Sha256};

use super::{TEXT_CHARS, check_difficulty, leading_zero_bits, unhex};
use crate::error::{Error, ErrorCode, Result};

/// Position of the difficulty in a challenge.
const DIFFICULTY_AT: usize = 2;

/// A search that goes on where the last call ended, so that the caller may stop in between.
#[derive(Debug, Clone)]
pub struct Solver {
    /// The challenge and its dot.
    prefix: String,
    /// The hash after the prefix.
    begun: Sha256,
    difficulty: u8,
    next: u64,
}

impl Solver {
    /// A search for the proof of this challenge.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for another text, and for a difficulty above
    /// [`MAX_DIFFICULTY`](super::MAX_DIFFICULTY): no server makes a client compute without end.
    pub fn new(challenge: &str) -> Result<Self> {
        let bytes = unhex(challenge).ok_or_else(|| {
            let text = format!("A challenge has {TEXT_CHARS} hexadecimal digits.");
            Error::new(ErrorCode::InvalidParams, text)
        })?;
        let difficulty = bytes[DIFFICULTY_AT];
        check_difficulty(difficulty)?;
        let prefix = format!("{challenge}.");
        Ok(Self {
            begun: Sha256::new_with_prefix(&prefix),
            prefix,
            difficulty,
            next: 0,
        })
    }

    /// Tries so many counters; the proof when one of them solves the challenge.
    pub fn run(&mut self, tries: u64) -> Option<String> {
        let end = self.next.saturating_add(tries);
        let mut digits = Digits::of(self.next);
        while self.next < end {
            let hash = self.begun.clone().chain_update(digits.text());
            if leading_zero_bits(&hash.finalize()) >= u32::from(self.difficulty) {
                return Some(format!("{}{}", self.prefix, self.next));
            }
            self.next += 1;
            digits.increment();
        }
        None
    }

    /// Tries after which almost no search is still under way: one in 10^27.
    pub const fn enough_tries(&self) -> u64 {
        64 << self.difficulty
    }
}

/// A counter in decimal digits.
struct Digits {
    digits: [u8; 20],
    first: usize,
}

impl Digits {
    fn of(number: u64) -> Self {
        let text = number.to_string();
        let mut digits = [b'0'; 20];
        let first = digits.len() - text.len();
        digits[first..].copy_from_slice(text.as_bytes());
        Self { digits, first }
    }

    fn text(&self) -> &[u8] {
        &self.digits[self.first..]
    }

    fn increment(&mut self) {
        for (at, digit) in self.digits.iter_mut().enumerate().rev() {
            self.first = self.first.min(at);
            if *digit != b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_count(start in 0_u64..u64::MAX - 200, steps in 0_u64..200) {
            let mut digits = Digits::of(start);
            for _ in 0..steps {
                digits.increment();
            }
            let expected = (start + steps).to_string();
            prop_assert_eq!(digits.text(), expected.as_bytes());
        }
    }
}
