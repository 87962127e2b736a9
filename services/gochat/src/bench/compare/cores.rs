//! Which processors the server and the load may use.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::super::Result;
use super::super::args::CompareArgs;

/// Disjoint sets of processors, or no rule at all.
pub(super) struct Cores {
    server: Option<CpuSet>,
    load: Option<CpuSet>,
}

impl Cores {
    /// By the flags; without them the server gets the first processor that this program may use,
    /// and the load the others. A machine with one processor has no rule.
    ///
    /// # Errors
    /// Names a list that can't be read or that names processors this program may not use.
    pub(super) fn new(args: &CompareArgs) -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&n| all.is_set(n)).collect();
        let listed = |flag: &str, text: &Option<String>| match text {
            Some(text) => parse(text)
                .filter(|list| list.iter().all(|n| usable.contains(n)))
                .map(Some)
                .ok_or_else(|| {
                    format!("{flag} {text}: this program may use the processors {usable:?}")
                }),
            None => Ok(None),
        };
        let server = listed("--server-cpus", &args.server_cpus)?;
        let load = listed("--load-cpus", &args.load_cpus)?;
        if server.is_none() && load.is_none() && usable.len() < 2 {
            eprintln!("one processor for server and load: read the ratios with care");
            return Ok(Self {
                server: None,
                load: None,
            });
        }
        let server = server.unwrap_or_else(|| vec![usable[0]]);
        usable.retain(|n| !server.contains(n));
        let load = load.unwrap_or(usable);
        Ok(Self {
            server: set(&server),
            load: set(&load),
        })
    }

    /// Starts a process of the server.
    pub(super) fn start_server<T>(&self, start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
        within(self.server.as_ref(), start)
    }

    /// Starts a process of the load.
    pub(super) fn start_load<T>(&self, start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
        within(self.load.as_ref(), start)
    }
}

/// Starts a process while this thread may use these processors only: a child inherits that.
fn within<T>(cores: Option<&CpuSet>, start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
    let Some(cores) = cores else {
        return Ok(start()?);
    };
    let own = sched_getaffinity(None)?;
    sched_setaffinity(None, cores)?;
    let started = start();
    sched_setaffinity(None, &own)?;
    Ok(started?)
}

fn set(list: &[usize]) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    list.iter().for_each(|&n| set.set(n));
    (!list.is_empty()).then_some(set)
}

/// Numbers and ranges, as `taskset` takes them: `0,2-3`.
fn parse(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to >= CpuSet::MAX_CPU {
            return None;
        }
        list.extend(from..=to);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse("0,2-4"), Some(vec![0, 2, 3, 4]));
        for bad in ["", "a", "3-1", "1-", "99999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_child_gets_its_processors_and_the_parent_keeps_its_own() {
        let own = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|&n| own.is_set(n)).unwrap();
        let cores = set(&[first]);
        let seen = within(cores.as_ref(), || Ok(sched_getaffinity(None)?)).unwrap();
        assert_eq!(seen.count(), 1);
        assert!(seen.is_set(first));
        assert_eq!(sched_getaffinity(None).unwrap(), own);
    }
}
