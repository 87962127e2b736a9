//! Who a request comes from when proxies stand in front: which of them are believed, and what they
//! say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::metrics as names;

/// Maximum number of hops that are looked at, from the nearest; a longer list is cut there.
const HOPS_MAX: usize = 32;
/// Header in which proxies append the address that each of them saw.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// A proxy whose word counts: an address, a network such as `10.0.0.0/8`, or `unix` for a hop over
/// a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrustedProxy {
    /// An address or a network.
    Net(IpNet),
    /// A hop that is named `unix` or `unix:`, as nginx does for a peer on a Unix socket.
    Unix,
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if is_unix(text) {
            return Ok(Self::Unix);
        }
        let net = match text.parse::<IpNet>() {
            Ok(net) => Some(net),
            Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
        };
        net.map(|net| Self::Net(net.trunc())).ok_or_else(|| {
            format!("{text:?} is no address, no network such as 10.0.0.0/8, and not `unix`")
        })
    }
}

impl TryFrom<String> for TrustedProxy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TrustedProxy> for String {
    fn from(proxy: TrustedProxy) -> Self {
        proxy.to_string()
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// One entry of `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    Address(IpAddr),
    Unix,
}

impl Hop {
    /// Takes what proxies write: an address, alone or in brackets, with or without a port, or
    /// `unix:`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_matches('"');
        if is_unix(text) {
            return Some(Self::Unix);
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        bare.unwrap_or(text)
            .parse()
            .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
            .ok()
            .map(|address: IpAddr| Self::Address(address.to_canonical()))
    }
}

fn is_unix(text: &str) -> bool {
    text == "unix" || text == "unix:"
}

/// The proxies that are believed.
pub(crate) struct Proxies {
    trusted: Vec<TrustedProxy>,
    /// Whether a peer that is not trusted has been reported.
    warned: AtomicBool,
}

impl Proxies {
    pub(crate) fn new(trusted: &[TrustedProxy]) -> Self {
        Self {
            trusted: trusted.to_vec(),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether the peer's word counts.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted
            .iter()
            .any(|proxy| matches!(proxy, TrustedProxy::Net(net) if net.contains(&peer)))
    }

    fn believes(&self, hop: Hop) -> bool {
        match hop {
            Hop::Address(address) => self.trusts(address),
            Hop::Unix => self.trusted.contains(&TrustedProxy::Unix),
        }
    }

    /// Who a request comes from: the peer, or what trusted proxies say about it.
    ///
    /// From the right, every trusted proxy has appended who it saw; the first address that is no
    /// trusted proxy is the client. What stands left of it, the client may have written. An entry
    /// that can't be read ends the search at the proxy that wrote it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            if headers.contains_key(FORWARDED_FOR) {
                self.note_untrusted(peer);
            }
            return peer;
        }
        let values = headers.get_all(FORWARDED_FOR).iter();
        let lines: Vec<&str> = values.map(|v| v.to_str().unwrap_or("?")).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        let mut client = peer;
        for hop in hops.take(HOPS_MAX).map_while(Hop::parse) {
            if let Hop::Address(address) = hop {
                client = address;
            }
            if !self.believes(hop) {
                break;
            }
        }
        client
    }

    /// A peer that is not trusted sends what only proxies send: either a stranger tries it, or
    /// limits see one address for everybody.
    fn note_untrusted(&self, peer: IpAddr) {
        names::add(names::FORWARDED_UNTRUSTED, 1);
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "X-Forwarded-For from a peer that is not in gateway.connections.trusted_proxies is ignored: if a proxy of yours \
                 sends it, name its network there, or limits see one address for everybody"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(trusted: &[&str]) -> Proxies {
        let trusted: Vec<_> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        Proxies::new(&trusted)
    }

    fn seen(proxies: &Proxies, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let proxies = proxies(&["10.0.0.1"]);
        let lines = ["6.6.6.6, 1.2.3.4", "10.0.0.1"];
        assert_eq!(seen(&proxies, "10.0.0.1", &lines), "1.2.3.4");
        assert_eq!(seen(&proxies, "9.9.9.9", &lines), "9.9.9.9");
        assert!(proxies.warned.load(Ordering::Relaxed));
    }

    #[test]
    fn networks_ports_brackets_and_unix_sockets_are_understood() {
        let proxies = proxies(&["10.0.0.0/8", "2001:db8::/32", "unix"]);
        for (line, client) in [
            ("1.2.3.4, 10.9.9.9", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4:5678, 10.9.9.9:443", "1.2.3.4"),
            ("1.2.3.4, [2001:db8::7]:443", "1.2.3.4"),
            ("\"[2a00::1]:99\", 10.1.1.1", "2a00::1"),
            ("[2a00::1]", "2a00::1"),
            ("2a00::1", "2a00::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("1.2.3.4, unix:", "1.2.3.4"),
            ("1.2.3.4,, 10.1.1.1", "10.1.1.1"),
            ("1.2.3.4, unknown, 10.1.1.1", "10.1.1.1"),
            ("nonsense", "10.0.0.1"),
            ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ] {
            assert_eq!(seen(&proxies, "10.0.0.1", &[line]), client, "{line}");
        }
        assert_eq!(seen(&proxies, "::ffff:10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn a_hop_over_a_unix_socket_ends_the_search_unless_it_is_trusted() {
        let proxies = proxies(&["10.0.0.0/8"]);
        assert_eq!(seen(&proxies, "10.0.0.1", &["1.2.3.4, unix:"]), "10.0.0.1");
    }

    #[test]
    fn a_long_list_costs_no_more_than_its_nearest_hops() {
        let line = vec!["10.0.0.9"; 10_000].join(",");
        let proxies = proxies(&["10.0.0.0/8"]);
        assert_eq!(seen(&proxies, "10.0.0.1", &[&line]), "10.0.0.9");
    }

    #[test]
    fn settings_are_read_and_written_as_text() {
        let text = r#"["10.0.0.1","10.0.0.0/8","2001:db8::/32","unix"]"#;
        let read: Vec<TrustedProxy> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        for wrong in ["10.0.0.0/33", "proxy.example", ""] {
            assert!(wrong.parse::<TrustedProxy>().is_err(), "{wrong}");
        }
    }
}
