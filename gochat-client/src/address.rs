//! Addresses of servers.

use url::{Host, Url};

use crate::{Error, ErrorKind, Result};

/// What is wrong with the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// The text is no URL at all.
    #[error("it is no URL; write http://host or https://host")]
    Malformed,
    /// The scheme is another one than `http`, `https`, `ws` and `wss`.
    #[error("its scheme is \"{0}\"; write http://, https://, ws:// or wss://")]
    Scheme(String),
    /// There is no host in it.
    #[error("it names no host")]
    NoHost,
    /// It holds a user name or a password. Users sign in with
    /// [`Credentials`](crate::Credentials).
    #[error("it holds a user name or password; users sign in with Credentials")]
    UserInfo,
    /// It has a query or a fragment.
    #[error("it has a query or fragment")]
    Query,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether connections are encrypted.
    pub(crate) is_tls: bool,
    /// `host` or `host:port`, as it goes into the `Host` header.
    pub(crate) authority: String,
    /// Path in front of `/api` and `/ws`: empty, or `/im`.
    prefix: String,
}

impl Endpoint {
    /// Reads `http`, `https`, `ws` and `wss` addresses, with a path prefix or without one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|problem| Error::from(ErrorKind::BadUrl(problem)))
    }

    fn read(text: &str) -> Result<Self, UrlProblem> {
        // `localhost:8080` is a URL of the scheme "localhost" otherwise.
        if !text.contains("://") {
            return Err(UrlProblem::Malformed);
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => UrlProblem::NoHost,
            _ => UrlProblem::Malformed,
        })?;
        let (is_tls, is_socket) = match url.scheme() {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            other => return Err(UrlProblem::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlProblem::Query);
        }
        let host = match url.host() {
            Some(Host::Ipv6(ip)) => format!("[{ip}]"),
            Some(host) => host.to_string(),
            None => return Err(UrlProblem::NoHost),
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        let path = url.path().trim_end_matches('/');
        // The address of the socket itself is often what is at hand.
        let socket_of = path.strip_suffix("/ws").filter(|_| is_socket);
        Ok(Self {
            is_tls,
            authority,
            prefix: socket_of.unwrap_or(path).to_owned(),
        })
    }

    /// The address of a call of the HTTP API.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}/api{path}", self.base())
    }

    /// The path of the WebSocket, as it goes into a request.
    pub(crate) fn socket_path(&self) -> String {
        format!("{}/ws", self.prefix)
    }

    /// `http://host/prefix`.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.prefix)
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
        for (url, base) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("ws://chat.example:9000/ws", "http://chat.example:9000"),
            ("wss://chat.example/im/ws/", "https://chat.example/im"),
            ("HTTP://LocalHost:1/", "http://localhost:1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
            ("http://chat.example:80", "http://chat.example"),
            ("https://chat.example:443", "https://chat.example"),
            ("https://chat.example:80", "https://chat.example:80"),
            ("https://host/im", "https://host/im"),
            ("https://host/a b//c/", "https://host/a%20b//c"),
            ("https://host/ws", "https://host/ws"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            (" https://chat.example\n", "https://chat.example"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().base(), base, "{url}");
        }
    }

    #[test]
    fn paths_stand_behind_the_prefix() {
        let endpoint = Endpoint::parse("wss://host/im").unwrap();
        assert_eq!(
            endpoint.api("/users/profile"),
            "https://host/im/api/users/profile"
        );
        assert_eq!(endpoint.socket_path(), "/im/ws");
    }

    #[test]
    fn what_can_not_work_is_refused_at_once_with_the_reason() {
        for (url, problem) in [
            ("", UrlProblem::Malformed),
            ("a b", UrlProblem::Malformed),
            ("localhost:8080", UrlProblem::Malformed),
            ("http://host:99999", UrlProblem::Malformed),
            ("http://[::1", UrlProblem::Malformed),
            ("http://", UrlProblem::NoHost),
            ("ftp://host", UrlProblem::Scheme("ftp".into())),
            ("http://user@host", UrlProblem::UserInfo),
            ("http://:secret@host", UrlProblem::UserInfo),
            ("http://host/?a=1", UrlProblem::Query),
            ("http://host/#a", UrlProblem::Query),
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::BadUrl(problem), "{url}");
            assert!(!error.is_retryable());
        }
    }

    #[test]
    fn queries_are_escaped() {
        let mut out = String::from("?q=");
        push_escaped(&mut out, "a b&ü");
        assert_eq!(out, "?q=a%20b%26%C3%BC");
    }
}
