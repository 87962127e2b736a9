//! Which part is struck when, and how: a plan made from a seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// The services of a cluster.
pub(super) const SERVICES: [&str; 4] = ["im-repo", "im-logic", "im-task", "im-gateway"];

/// What may be struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(in crate::check) enum Kind {
    /// A service instance.
    Service,
    /// The log.
    Kafka,
    /// The database.
    Mysql,
    /// Cache and presence; a killed one comes back empty.
    Redis,
    /// Discovery and configuration.
    Etcd,
}

impl Kind {
    /// Name of the server in the scripts; `None` for services.
    pub(super) fn server(self) -> Option<&'static str> {
        match self {
            Self::Service => None,
            Self::Kafka => Some("kafka"),
            Self::Mysql => Some("mysql"),
            Self::Redis => Some("redis"),
            Self::Etcd => Some("etcd"),
        }
    }
}

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// Instance `1` of service `0`, both as positions.
    Service(usize, usize),
    /// A server the cluster stands on.
    Server(&'static str),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service, instance) => {
                write!(f, "{}-{}", SERVICES[*service], instance + 1)
            }
            Self::Server(name) => f.write_str(name),
        }
    }
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// SIGKILL, and a new start after this time.
    Kill(Duration),
    /// SIGSTOP, and SIGCONT after this time.
    Pause(Duration),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(down) => write!(f, "kill, down for {} ms", down.as_millis()),
            Self::Pause(time) => write!(f, "pause for {} ms", time.as_millis()),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Time since the fault before.
    pub(super) after: Duration,
    pub(super) target: Target,
    pub(super) action: Action,
}

/// Makes `n` faults. Services are struck most; a fifth of the strikes are pauses, and a third of the pauses of services
/// are long enough for the others to take a partition away, so that a zombie wakes up.
pub(super) fn plan(seed: u64, n: usize, kinds: &[Kind], instances: usize) -> Vec<Fault> {
    let mut random = StdRng::seed_from_u64(seed);
    let weight = |kind: &Kind| if *kind == Kind::Service { 12 } else { 1 };
    let mut fault = || {
        let kind = kinds
            .choose_weighted(&mut random, weight)
            .copied()
            .unwrap_or(Kind::Service);
        let target = match kind.server() {
            Some(name) => Target::Server(name),
            None => Target::Service(
                random.random_range(0..SERVICES.len()),
                random.random_range(0..instances),
            ),
        };
        let millis = |random: &mut StdRng, range: std::ops::Range<u64>| {
            Duration::from_millis(random.random_range(range))
        };
        let action = match (random.random_bool(0.2), kind) {
            (false, Kind::Service) => Action::Kill(millis(&mut random, 0..2_000)),
            (false, _) => Action::Kill(millis(&mut random, 100..3_000)),
            (true, Kind::Service) if random.random_ratio(1, 3) => {
                Action::Pause(millis(&mut random, 8_000..20_000))
            }
            (true, _) => Action::Pause(millis(&mut random, 200..4_000)),
        };
        Fault {
            after: millis(&mut random, 100..2_500),
            target,
            action,
        }
    };
    (0..n).map(|_| fault()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 5] = [
        Kind::Service,
        Kind::Kafka,
        Kind::Mysql,
        Kind::Redis,
        Kind::Etcd,
    ];

    #[test]
    fn a_seed_makes_the_same_plan_again() {
        assert_eq!(plan(7, 100, &ALL, 2), plan(7, 100, &ALL, 2));
        assert_ne!(plan(7, 100, &ALL, 2), plan(8, 100, &ALL, 2));
    }

    #[test]
    fn every_part_is_struck_and_some_pauses_make_zombies() {
        let faults = plan(1, 500, &ALL, 2);
        for kind in &ALL[1..] {
            let name = kind.server();
            let struck = |f: &&Fault| matches!(f.target, Target::Server(s) if Some(s) == name);
            assert!(faults.iter().filter(struck).count() >= 10, "{kind:?}");
        }
        for service in 0..SERVICES.len() {
            for instance in 0..2 {
                let target = Target::Service(service, instance);
                assert!(faults.iter().filter(|f| f.target == target).count() >= 20);
            }
        }
        let zombies = |f: &&Fault| matches!(f.action, Action::Pause(t) if t.as_secs() >= 8);
        assert!(faults.iter().filter(zombies).count() >= 10);
    }

    #[test]
    fn only_the_chosen_parts_are_struck() {
        let faults = plan(1, 50, &[Kind::Redis], 2);
        assert!(faults.iter().all(|f| f.target == Target::Server("redis")));
    }
}
