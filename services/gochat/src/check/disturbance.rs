//! When parts of the system were disturbed: rules with a time limit count undisturbed time.

/// Milliseconds since the run began.
pub(super) type Millis = u64;

/// Time that gateways get, after the log came back, until they follow it again: connecting anew,
/// and the longest pause between two tries.
const LOG_RECOVERY: Millis = 6_000;
/// Time that a gateway gets after a pause, until it has read what came meanwhile.
const GATEWAY_RECOVERY: Millis = 1_000;

/// What an instance of the edge needs to hear of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The log: every gateway is cut off.
    Log,
    /// The gateway with this number is paused.
    Gateway(usize),
}

/// A time in which a part did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disturbance {
    pub(super) part: Part,
    pub(super) from: Millis,
    pub(super) to: Millis,
}

impl Disturbance {
    /// The end of its effect.
    const fn over(&self) -> Millis {
        self.to.saturating_add(match self.part {
            Part::Log => LOG_RECOVERY,
            Part::Gateway(_) => GATEWAY_RECOVERY,
        })
    }

    fn concerns(&self, gate: usize) -> bool {
        matches!(self.part, Part::Log) || self.part == Part::Gateway(gate)
    }
}

/// The time from which something acknowledged at `at` must hold at a gateway: once the gateway had
/// `within` milliseconds in a row without a disturbance.
pub(super) fn due(at: Millis, gate: usize, within: Millis, all: &[Disturbance]) -> Millis {
    let mut from = at;
    loop {
        let hit = all
            .iter()
            .filter(|d| d.concerns(gate))
            .find(|d| d.from < from.saturating_add(within) && from < d.over());
        match hit {
            Some(disturbance) => from = disturbance.over(),
            None => return from.saturating_add(within),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disturbance(part: Part, from: Millis, to: Millis) -> Disturbance {
        Disturbance { part, from, to }
    }

    #[test]
    fn without_disturbances_an_end_holds_within_its_time() {
        assert_eq!(due(500, 0, 1_000, &[]), 1_500);
        let before = disturbance(Part::Log, 0, 100);
        assert_eq!(due(7_000, 0, 1_000, &[before]), 8_000);
        let after = disturbance(Part::Log, 1_500, 9_000);
        assert_eq!(due(500, 0, 1_000, &[after]), 1_500);
    }

    #[test]
    fn a_disturbance_counts_for_the_gateways_it_concerns() {
        let pause = disturbance(Part::Gateway(1), 900, 3_000);
        assert_eq!(due(500, 0, 1_000, &[pause]), 1_500);
        assert_eq!(due(500, 1, 1_000, &[pause]), 5_000);
        let outage = disturbance(Part::Log, 900, 3_000);
        assert_eq!(due(500, 0, 1_000, &[outage]), 10_000);
    }

    #[test]
    fn disturbances_add_up_only_while_they_follow_each_other() {
        let first = disturbance(Part::Gateway(0), 0, 1_000);
        let second = disturbance(Part::Gateway(0), 2_500, 4_000);
        assert_eq!(due(500, 0, 1_000, &[second, first]), 6_000);
        let later = disturbance(Part::Gateway(0), 3_000, 4_000);
        assert_eq!(due(500, 0, 1_000, &[later, first]), 3_000);
    }
}
