//! Addresses to listen on, as people write them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use rand::Rng as _;
use serde::Deserialize as _;
use serde::de::{Deserializer, Error as _};

/// Reads an address: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (a host name is looked up,
/// IPv4 first), `:8080` (every IPv4 address of this machine) or `8080` (this machine only).
///
/// ```
/// use gochat_infra::listen::address;
/// assert_eq!(address("8080"), Ok(([127, 0, 0, 1], 8080).into()));
/// assert_eq!(address(":8080"), Ok(([0, 0, 0, 0], 8080).into()));
/// assert!(address("localhost").unwrap_err().contains("no port"));
/// ```
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let no_port = || format!("`{text}` names no port: write HOST:PORT, :PORT or PORT");
    if text.parse::<IpAddr>().is_ok() {
        return Err(no_port());
    }
    let (name, port) = text.rsplit_once(':').ok_or_else(no_port)?;
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` in `{text}` is no port (0 to 65535)"))?;
    if name.is_empty() {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    host(name).map(|ip| SocketAddr::new(ip, port))
}

/// Reads the address of a host: an IP address, with or without brackets, or a name that is looked
/// up.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn host(text: &str) -> Result<IpAddr, String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse() {
        return Ok(ip);
    }
    let found: Vec<SocketAddr> = (text, 0)
        .to_socket_addrs()
        .map_err(|e| format!("the host `{text}` has no address: {e}"))?
        .collect();
    let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
    first
        .map(SocketAddr::ip)
        .ok_or_else(|| format!("the host `{text}` has no address"))
}

/// Below the range that outgoing connections take their ports from, so that a port stays free until
/// its server binds it, and while a server that was killed is away.
const STABLE_PORTS: std::ops::Range<u16> = 14_000..32_000;

/// Returns `n` different TCP ports of loopback that no server listens on.
///
/// # Errors
/// `AddrInUse` when so many were not found.
pub fn free_ports(n: usize) -> io::Result<Vec<u16>> {
    let mut ports = Vec::with_capacity(n);
    for _ in 0..n * 100 {
        if ports.len() == n {
            break;
        }
        let port = rand::rng().random_range(STABLE_PORTS);
        if !ports.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    if ports.len() < n {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(ports)
}

/// Reads a setting that is an [`address`].
///
/// # Errors
/// Those of [`address`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Reads a setting that is a [`host`].
///
/// # Errors
/// Those of [`host`].
pub fn deserialize_host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    host(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_taken() {
        for (text, wanted) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:80", "127.0.0.1:80"),
            (" :80 ", "0.0.0.0:80"),
            ("80", "127.0.0.1:80"),
            ("0", "127.0.0.1:0"),
        ] {
            assert_eq!(
                address(text).map(|a| a.to_string()),
                Ok(wanted.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let ports = free_ports(20).unwrap();
        let listeners: Vec<_> = ports
            .iter()
            .map(|port| TcpListener::bind(("127.0.0.1", *port)))
            .collect();
        assert!(listeners.iter().all(Result::is_ok), "{ports:?}");
        assert_eq!(listeners.len(), 20);
    }

    #[test]
    fn mistakes_are_told_in_a_sentence() {
        for (text, word) in [
            ("localhost", "no port"),
            ("127.0.0.1", "no port"),
            ("::1", "no port"),
            ("127.0.0.1:http", "is no port"),
            ("127.0.0.1:99999", "is no port"),
            ("99999", "no port"),
            ("", "no port"),
            ("no.such.host.invalid:80", "has no address"),
        ] {
            let sentence = address(text).expect_err(text);
            assert!(sentence.contains(word), "{text}: {sentence}");
        }
    }
}
