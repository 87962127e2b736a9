//! Local addresses to connect from: one address has about 28,000 ports to one server.

use std::net::Ipv4Addr;

use super::Result;

/// Connections per local address, below the number of ephemeral ports.
const PER_ADDRESS: usize = 20_000;

/// A block of addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources {
    first: u32,
    count: u32,
}

impl Sources {
    /// Reads `127.0.0.0/8`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (net, bits) = text.split_once('/').unwrap_or((text, "32"));
        let (net, bits): (Ipv4Addr, u32) = (net.parse()?, bits.parse()?);
        if bits > 32 {
            return Err("a network has at most 32 bits".into());
        }
        let size = 1u64 << (32 - bits);
        let base = u64::from(u32::from(net)) / size * size;
        // The first and the last address of a network belong to nobody.
        let (first, count) = if size > 2 {
            (base + 1, size - 2)
        } else {
            (base, size)
        };
        Ok(Self {
            first: u32::try_from(first)?,
            count: u32::try_from(count)?,
        })
    }

    /// The address of the `n`th connection.
    pub(super) fn of(self, n: usize) -> Ipv4Addr {
        let block = u32::try_from(n / PER_ADDRESS).unwrap_or(u32::MAX);
        Ipv4Addr::from(self.first + block % self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_before_ports_run_out() {
        let sources = Sources::parse("127.0.0.0/8").unwrap();
        assert_eq!(sources.of(0), Ipv4Addr::new(127, 0, 0, 1));
        assert_eq!(sources.of(19_999), Ipv4Addr::new(127, 0, 0, 1));
        assert_eq!(sources.of(20_000), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(
            Sources::parse("10.0.0.5").unwrap().of(50_000),
            Ipv4Addr::new(10, 0, 0, 5)
        );
        assert!(Sources::parse("10.0.0.5/40").is_err());
    }
}
