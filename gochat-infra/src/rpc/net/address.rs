//! Where an instance listens.

use std::fmt;
use std::sync::Arc;

use gochat_core::error::{Error, ErrorCode, Result};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

use crate::port::coord::Instance;

/// Metadata key of the gRPC port, where it is not the one of the entry.
const GRPC_PORT: &str = "grpc_port";

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    authority: Authority,
}

impl Address {
    fn new(host: &str, port: u16) -> Option<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let text = if bare.contains(':') {
            format!("[{bare}]:{port}")
        } else {
            format!("{bare}:{port}")
        };
        let authority = text
            .parse()
            .ok()
            .filter(|_| !bare.is_empty() && port != 0)?;
        Some(Self {
            host: bare.into(),
            port,
            authority,
        })
    }

    /// Reads `host:port`, with or without a scheme in front.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare.trim_end_matches('/');
        bare.rsplit_once(':')
            .and_then(|(host, port)| Self::new(host, port.parse().ok()?))
            .ok_or_else(|| {
                Error::new(
                    ErrorCode::InvalidParams,
                    format!("{text:?} is not HOST:PORT."),
                )
            })
    }

    /// The gRPC port of an instance.
    pub(super) fn of(instance: &Instance) -> Option<Self> {
        let port = match instance.metadata.get(GRPC_PORT) {
            Some(port) => port.parse().ok()?,
            None => instance.port,
        };
        Self::new(&instance.address, port)
    }

    /// The target of a call at this address.
    pub(super) fn uri(&self, call: &Uri, tls: bool) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        let path = call.path_and_query().cloned();
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // All three parts are there and each is valid by its type.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.authority.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn hosts_names_and_v6_addresses_are_read() {
        for (text, shown) in [
            ("localhost:9002", "localhost:9002"),
            ("http://10.0.0.1:2379", "10.0.0.1:2379"),
            ("https://etcd1:2379/", "etcd1:2379"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "localhost", ":80", "a:b", "a:0", "a:70000", "a b:80"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_metadata_names_the_grpc_port_where_it_differs() {
        let mut instance = Instance {
            id: "1".into(),
            name: "im-gateway".into(),
            address: "10.0.0.1".into(),
            port: 8080,
            metadata: BTreeMap::new(),
        };
        assert_eq!(Address::of(&instance).unwrap().to_string(), "10.0.0.1:8080");
        instance.metadata.insert("grpc_port".into(), "9004".into());
        assert_eq!(Address::of(&instance).unwrap().to_string(), "10.0.0.1:9004");
        instance.metadata.insert("grpc_port".into(), "x".into());
        assert_eq!(Address::of(&instance), None);
    }

    #[test]
    fn a_call_keeps_its_path() {
        let uri = Address::parse("[::1]:80").unwrap();
        let uri = uri.uri(&Uri::from_static("/a.B/C"), false);
        assert_eq!(uri, "http://[::1]:80/a.B/C");
    }
}
