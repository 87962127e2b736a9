//! Memory and CPU time of processes, from /proc.

use std::fs;

use serde_json::{Value, json};

/// Clock ticks per second; 100 on every Linux this runs on.
const TICKS: f64 = 100.0;

/// A look at some processes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) rss: u64,
    /// Resident memory, shared pages divided by their sharers, in bytes.
    pub(super) pss: u64,
    /// CPU time in seconds.
    pub(super) cpu: f64,
}

/// The sum over `pids`; `None` when one of them can't be read.
pub(super) fn usage(pids: &[u32]) -> Option<Usage> {
    let mut sum = Usage::default();
    for pid in pids {
        sum.rss += kib(&format!("/proc/{pid}/status"), "VmRSS:")?;
        sum.pss += kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(0);
        sum.cpu += cpu(&pid.to_string())?;
    }
    (!pids.is_empty()).then_some(sum)
}

/// CPU time of this process in seconds.
pub(super) fn own_cpu() -> f64 {
    cpu("self").unwrap_or(0.0)
}

fn kib(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn cpu(pid: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / TICKS)
}

/// Before and after, for the result line.
pub(super) fn compare(before: Option<Usage>, after: Option<Usage>) -> Value {
    match (before, after) {
        (Some(b), Some(a)) => json!({
            "rss_before": b.rss, "rss_after": a.rss, "pss_before": b.pss, "pss_after": a.pss,
            "cpu_seconds": ((a.cpu - b.cpu) * 100.0).round() / 100.0,
        }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let usage = usage(&[std::process::id()]).unwrap();
        assert!(usage.rss > 100_000);
        assert!(usage.cpu >= 0.0);
        assert!(super::usage(&[]).is_none());
    }
}
