//! The memory budget: how much, and what it leaves to each part.

use std::path::Path;

use gochat_core::memory::Shares;
use serde::{Deserialize, Serialize};

use super::Config;

/// Budget where the machine doesn't say how much memory it has.
const UNKNOWN_MACHINE: u64 = 1 << 30;

/// Memory of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Bytes that the process should get along with, at least 64 MiB. It lowers the bounds of the
    /// log's cache, of conversations in memory, of cached rows and of the database's pages; it
    /// raises none. Default: a quarter of the machine's memory, or of the container's limit.
    pub budget: Option<u64>,
}

/// What the budget leaves to each part, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The whole.
    pub budget: u64,
    /// Records of the log in memory.
    pub log: usize,
    /// Conversations in memory, per partition.
    pub windows_per_partition: usize,
    /// Partitions.
    pub partitions: usize,
    /// Cached rows.
    pub rows: u64,
    /// Page cache of the database's writing connection, in KiB; each reader has a quarter of it.
    pub database_kib: u32,
    /// Page caches of all connections of the database.
    pub database: u64,
}

impl Bounds {
    /// Each part with its bound in bytes, as metrics and `gochat doctor` name them.
    pub fn parts(&self) -> [(&'static str, u64); 4] {
        let windows = self.windows_per_partition.saturating_mul(self.partitions);
        [
            ("windows", windows as u64),
            ("log", self.log as u64),
            ("rows", self.rows),
            ("database", self.database),
        ]
    }
}

impl Config {
    /// Bounds of the parts: what the settings say, lowered by the budget.
    ///
    /// # Errors
    /// A sentence for a budget that is too small.
    pub fn memory_bounds(&self) -> Result<Bounds, String> {
        let budget = match self.memory.budget {
            Some(budget) => budget,
            // A tiny machine runs with the smallest budget.
            None => default_budget().max(gochat_core::memory::MIN_BUDGET),
        };
        let shares = Shares::of(budget).map_err(|error| error.message.into_owned())?;
        let bytes = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
        let partitions = self.storage.partitions.max(1) as usize;
        // A reader's cache is a quarter of the writer's.
        let quarters = 4 + self.storage.db_readers as u64;
        let kib = u32::try_from(shares.database / 1024 * 4 / quarters).unwrap_or(u32::MAX);
        let database_kib = self.storage.db_cache_kib.min(kib);
        Ok(Bounds {
            budget,
            log: self.storage.log_cache_bytes.min(bytes(shares.log)),
            windows_per_partition: self
                .logic
                .pipeline
                .memory_bytes
                .min(bytes(shares.windows) / partitions),
            partitions,
            rows: self.storage.cache_bytes.min(shares.rows),
            database_kib,
            database: u64::from(database_kib) * 1024 / 4 * quarters,
        })
    }
}

/// A quarter of what the machine has, or of what the container may use.
fn default_budget() -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text));
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let container = limits
        .iter()
        .filter_map(|path| read(path)?.trim().parse::<u64>().ok());
    let least = machine.into_iter().chain(container).min();
    least.map_or(UNKNOWN_MACHINE, |bytes| bytes / 4)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(path)).ok()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(assignments: &[&str]) -> Result<Bounds, String> {
        let assignments: Vec<_> = assignments.iter().map(|a| (*a).to_owned()).collect();
        Config::load(None, std::iter::empty(), &assignments)
            .map_err(|error| error.to_string())?
            .memory_bounds()
    }

    #[test]
    fn a_budget_lowers_bounds_and_raises_none() {
        let small = bounds(&["memory.budget=134217728"]).unwrap();
        assert_eq!(small.log, 16 << 20);
        assert_eq!(small.windows_per_partition, 6 << 20);
        assert_eq!(small.rows, 16 << 20);
        assert_eq!((small.database_kib, small.database), (4_096, 8 << 20));
        let sum: u64 = small.parts().iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, 64 << 20, "half of the budget");

        let large = bounds(&["memory.budget=1099511627776", "storage.cache_bytes=1000"]).unwrap();
        assert_eq!((large.log, large.rows), (64 << 20, 1_000));
        assert_eq!(large.windows_per_partition, 64 << 20);
        assert_eq!(large.database_kib, 16_384);
    }

    #[test]
    fn a_budget_that_is_too_small_is_refused_with_its_name() {
        let error = bounds(&["memory.budget=1000"]).unwrap_err();
        assert!(
            error.contains("memory.budget") && error.contains("64 MiB"),
            "{error}"
        );
        assert!(bounds(&[]).unwrap().budget >= 64 << 20);
    }

    #[test]
    fn the_machine_says_what_it_has() {
        let text = "MemTotal:       24579152 kB\nMemFree: 1 kB\n";
        assert_eq!(machine_bytes(text), Some(24_579_152 << 10));
        assert_eq!(machine_bytes("nonsense"), None);
    }
}
