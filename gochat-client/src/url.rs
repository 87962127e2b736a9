//! Addresses.

use crate::{Error, ErrorKind, Result};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `host:port`, as it goes into the `Host` header and to the resolver.
    pub(crate) authority: String,
}

impl Endpoint {
    /// Accepts `http://`, `ws://` or nothing before `host[:port]`; a path is ignored.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = match url.split_once("://") {
            Some(("http" | "ws", rest)) => rest,
            Some(_) => return Err(ErrorKind::BadUrl.into()),
            None => url,
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|e| Error::with_source(ErrorKind::BadUrl, e))?;
        if parsed.host().is_empty() || authority.contains('@') {
            return Err(ErrorKind::BadUrl.into());
        }
        let port = parsed.port_u16().unwrap_or(80);
        Ok(Self {
            authority: format!("{}:{port}", parsed.host()),
        })
    }
}

/// Appends `text` to a URL, escaping what isn't plain.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_are_understood() {
        for (url, authority) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("ws://chat.example:9000/ws", "chat.example:9000"),
            ("localhost:1/", "localhost:1"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://chat.example", "chat.example:80"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().authority, authority);
        }
    }

    #[test]
    fn what_can_not_work_is_refused_at_once() {
        for url in [
            "",
            "https://chat.example",
            "http://",
            "http://user@host",
            "a b",
        ] {
            assert_eq!(
                *Endpoint::parse(url).unwrap_err().kind(),
                ErrorKind::BadUrl,
                "{url}"
            );
        }
    }

    #[test]
    fn queries_are_escaped() {
        let mut out = String::from("?q=");
        push_escaped(&mut out, "a b&ü");
        assert_eq!(out, "?q=a%20b%26%C3%BC");
    }
}
