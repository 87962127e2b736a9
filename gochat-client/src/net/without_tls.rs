//! Stands in for TLS when the feature `tls` is off.

use super::{NetOptions, Stream};
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Clone)]
pub(super) struct Tls;

impl Tls {
    pub(super) fn new(_: &NetOptions) -> Result<Self> {
        Err(ErrorKind::TlsNotBuilt.into())
    }

    pub(super) const fn unused() -> Self {
        Self
    }

    pub(super) async fn secure(&self, _: &str, _: Stream) -> Result<Stream> {
        Err(Error::from(ErrorKind::TlsNotBuilt))
    }
}

/// Whether the server ended the connection by an alert.
pub(super) const fn is_alert(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use crate::{Client, ErrorKind};

    #[test]
    fn an_encrypted_address_is_refused_with_the_name_of_the_feature() {
        for url in ["https://chat.example", "wss://chat.example/ws"] {
            let error = Client::builder(url).api().unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::TlsNotBuilt);
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
    }
}
