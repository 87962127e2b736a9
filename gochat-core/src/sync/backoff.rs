//! Waiting longer after every failure.

use super::Millis;

/// Delays between tries: a fixed ladder whose last step repeats, each delay spread by up to a
/// quarter so that clients that fell together don't rise together.
///
/// ```
/// use gochat_core::sync::Backoff;
/// let mut backoff = Backoff::reconnect(7);
/// let first = backoff.next_delay();
/// assert!((1000..=1250).contains(&first));
/// assert!(backoff.next_delay() > first);
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    ladder: &'static [Millis],
    step: usize,
    seed: u64,
}

impl Backoff {
    /// 1, 2, 4, 8, 15, 30 s, then 30 s: for connections and sends.
    pub const fn reconnect(seed: u64) -> Self {
        Self {
            ladder: &[1000, 2000, 4000, 8000, 15_000, 30_000],
            step: 0,
            seed,
        }
    }

    /// 0.1 s doubling to 30 s: for rows that are still on their way to the database.
    pub const fn fetch(seed: u64) -> Self {
        Self {
            ladder: &[100, 200, 400, 800, 1600, 3200, 6400, 12_800, 30_000],
            step: 0,
            seed,
        }
    }

    /// The delay before the next try, in milliseconds.
    pub fn next_delay(&mut self) -> Millis {
        let base = self.ladder[self.step];
        self.step = (self.step + 1).min(self.ladder.len() - 1);
        self.seed = splitmix(self.seed);
        base + self.seed % (base / 4 + 1)
    }

    /// Starts from the first step again, after a success.
    pub const fn reset(&mut self) {
        self.step = 0;
    }

    /// Whether the last try succeeded (or none was made).
    pub const fn is_fresh(&self) -> bool {
        self.step == 0
    }
}

/// One step of SplitMix64: good enough for jitter.
const fn splitmix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_climbed_and_its_top_repeats() {
        let mut backoff = Backoff::reconnect(1);
        for base in [1000, 2000, 4000, 8000, 15_000, 30_000, 30_000, 30_000] {
            let delay = backoff.next_delay();
            assert!(
                (base..=base + base / 4).contains(&delay),
                "{delay} for {base}"
            );
        }
        backoff.reset();
        assert!(backoff.is_fresh() && backoff.next_delay() <= 1250);
    }

    #[test]
    fn different_seeds_spread() {
        let delays: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| Backoff::reconnect(seed).next_delay())
            .collect();
        assert!(delays.len() > 50);
    }
}
