//! Ports for a cluster of one's own.

use std::net::TcpListener;

use rand::Rng as _;

use crate::bench::Result;

/// Below the range that outgoing connections take their ports from: a server that comes back finds its port free.
const RANGE: std::ops::Range<u16> = 14_000..30_000;

/// Different ports that nobody listens on.
pub(super) fn free(n: usize) -> Result<Vec<u16>> {
    let mut ports = Vec::with_capacity(n);
    for _ in 0..n * 100 {
        if ports.len() == n {
            break;
        }
        let port = rand::rng().random_range(RANGE);
        if !ports.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    if ports.len() < n {
        return Err("no free ports".into());
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_can_be_bound() {
        let mut ports = free(20).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
