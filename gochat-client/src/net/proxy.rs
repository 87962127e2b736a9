//! Which proxy to use.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::{Error, ErrorKind, Result};

/// The HTTP proxy of a client. Connections go through it by `CONNECT`, HTTP and the socket alike,
/// and whether they are encrypted or not: a proxy that allows `CONNECT` only to port 443 needs a
/// server with `https`.
#[derive(Debug, Clone)]
pub struct Proxy(Rules);

#[derive(Debug, Clone)]
enum Rules {
    None,
    /// Addresses of this machine are connected to directly.
    Environment(Arc<Matcher>),
    Fixed(Arc<Matcher>),
}

impl Default for Proxy {
    /// [`Proxy::from_env`].
    fn default() -> Self {
        Self::from_env()
    }
}

impl Proxy {
    /// No proxy, whatever the environment says.
    pub const fn none() -> Self {
        Self(Rules::None)
    }

    /// The proxy that the environment names: `HTTPS_PROXY` or `HTTP_PROXY` by
    /// the scheme of the server's address, else `ALL_PROXY`; not for hosts of `NO_PROXY`. Names in
    /// lower case count as well. Addresses of this machine (`localhost`, `127.0.0.1`, `::1`) are
    /// never reached through it.
    pub fn from_env() -> Self {
        Self(Rules::Environment(Arc::new(Matcher::from_env())))
    }

    /// A proxy for every connection: `http://host:port` or `https://host:port`, with
    /// `user:password@` before the host where the proxy asks for it.
    ///
    /// # Errors
    /// [`ErrorKind::BadOption`] for anything else.
    pub fn new(url: &str) -> Result<Self> {
        let usable = url.parse::<Uri>().is_ok_and(|uri| {
            let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
            let ats = uri
                .authority()
                .map_or(0, |a| a.as_str().matches('@').count());
            // Whoever reads a second one takes part of a password for a host.
            is_http && uri.host().is_some() && ats <= 1
        });
        if !usable {
            let hint = "the address of a proxy must read http://host:port or https://host:port, with \
                        @ in a name or password written as %40";
            return Err(ErrorKind::BadOption(hint.to_owned()).into());
        }
        let matcher = Matcher::builder().all(url.to_owned()).build();
        if matcher
            .intercept(&Uri::from_static("https://host.example"))
            .is_none()
        {
            let sentence = "the address of the proxy can't be read";
            return Err(ErrorKind::BadOption(sentence.to_owned()).into());
        }
        Ok(Self(Rules::Fixed(Arc::new(matcher))))
    }

    /// The proxy for an address, if there is one.
    pub(super) fn intercept(&self, to: &Uri) -> Option<Intercept> {
        match &self.0 {
            Rules::None => None,
            Rules::Environment(_) if is_local(to.host()?) => None,
            Rules::Environment(matcher) | Rules::Fixed(matcher) => matcher.intercept(to),
        }
    }

    /// Whether the proxy for an address is itself reached by TLS.
    pub(super) fn is_tls_for(&self, to: &Uri) -> Result<bool> {
        match self.intercept(to).map(|proxy| proxy.uri().clone()) {
            None => Ok(false),
            Some(uri) => match uri.scheme_str() {
                Some("https") => Ok(true),
                Some("http") => Ok(false),
                other => Err(Error::from(ErrorKind::BadOption(format!(
                    "the environment names a proxy of the kind \"{}\"; only HTTP proxies can be used",
                    other.unwrap_or_default()
                )))),
            },
        }
    }
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(https: &str, http: &str, no: &str) -> Proxy {
        let matcher = Matcher::builder()
            .https(https.to_owned())
            .http(http.to_owned())
            .no(no.to_owned());
        Proxy(Rules::Environment(Arc::new(matcher.build())))
    }

    fn through(proxy: &Proxy, url: &str) -> Option<String> {
        let found = proxy.intercept(&url.parse().unwrap())?;
        Some(found.uri().to_string())
    }

    #[test]
    fn the_environment_is_read_by_scheme_and_host() {
        let proxy = environment("http://p:1", "p:2", "intern.example, 10.0.0.0/8");
        let expected = [
            ("https://chat.example/x", Some("http://p:1/")),
            ("http://chat.example", Some("http://p:2/")),
            ("https://a.intern.example", None),
            ("https://notintern.example", Some("http://p:1/")),
            ("http://10.2.3.4:8080", None),
            ("http://localhost:8080", None),
            ("https://127.0.0.7", None),
            ("https://[::1]:8443", None),
        ];
        for (url, expected) in expected {
            assert_eq!(through(&proxy, url).as_deref(), expected, "{url}");
        }
        assert_eq!(through(&Proxy::none(), "https://chat.example"), None);
    }

    #[test]
    fn a_proxy_that_was_set_is_used_for_this_machine_too() {
        let proxy = Proxy::new("http://ann:s3cret@127.0.0.1:3128").unwrap();
        let found = proxy.intercept(&"http://127.0.0.1:8080".parse().unwrap());
        let found = found.unwrap();
        assert_eq!(found.uri(), "http://127.0.0.1:3128/");
        assert_eq!(found.basic_auth().unwrap(), "Basic YW5uOnMzY3JldA==");
        assert!(!format!("{proxy:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_no_http_proxy_is_refused() {
        for url in [
            "",
            "p:3128",
            "socks5://p",
            "http://",
            "ftp://p",
            "http://ann:p@ss@p:1",
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::BadOption(_)), "{url}");
        }
        let socks = environment("socks5://p:1", "", "");
        let to = "https://chat.example".parse().unwrap();
        let error = socks.is_tls_for(&to).unwrap_err();
        assert!(error.to_string().contains("socks5"), "{error}");
    }
}
