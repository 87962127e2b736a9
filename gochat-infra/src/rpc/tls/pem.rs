//! Reads certificates and keys.

use std::path::Path;
use std::sync::Arc;

use gochat_core::error::{Error, ErrorCode, Result};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that can't be used.
pub(super) fn bad(what: &str, path: &Path, cause: impl std::fmt::Display) -> Error {
    let text = format!("{what} {}: {cause}", path.display());
    Error::new(ErrorCode::InvalidParams, text)
}

/// The one provider of cryptography, named so that it doesn't matter what else is linked in.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| bad("certificate", path, error))?;
    if read.is_empty() {
        return Err(bad("certificate", path, "there is none in it"));
    }
    Ok(read)
}

pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| bad("key", path, error))
}

pub(super) fn authorities(path: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = store.add(certificate);
        added.map_err(|error| bad("authority", path, error))?;
    }
    Ok(store)
}
