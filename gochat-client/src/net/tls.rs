//! TLS by rustls, with ring and the certificate store of the system.

use std::io;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use super::{NetOptions, Stream};
use crate::{Error, ErrorKind, Result};

/// Which servers are trusted, and who the client is to them. The default trusts the authorities
/// that the system trusts and shows no certificate.
///
/// ```no_run
/// use gochat_client::{Client, TlsOptions};
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsOptions::default().trust_pem(&std::fs::read("company-ca.pem")?)?;
/// let builder = Client::builder("https://chat.company.example").tls(tls);
/// # let _ = builder; Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct TlsOptions {
    without_system_roots: bool,
    roots: Vec<CertificateDer<'static>>,
    identity: Option<Arc<Identity>>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsOptions")
            .field("without_system_roots", &self.without_system_roots)
            .field("roots", &self.roots.len())
            .field("has_identity", &self.identity.is_some())
            .finish()
    }
}

impl TlsOptions {
    /// Trusts the authorities of a PEM text too, in addition to those of the system. Android takes
    /// further authorities only from an app's network security configuration.
    ///
    /// # Errors
    /// [`ErrorKind::BadOption`] when there is no certificate in it.
    pub fn trust_pem(mut self, pem: &[u8]) -> Result<Self> {
        self.roots.extend(certificates("a root certificate", pem)?);
        Ok(self)
    }

    /// Trusts only the authorities given by [`trust_pem`](Self::trust_pem), not those of the
    /// system.
    pub const fn without_system_roots(mut self) -> Self {
        self.without_system_roots = true;
        self
    }

    /// Shows a certificate to servers that ask for one: the chain, the client's certificate
    /// first, and its key, both as PEM.
    ///
    /// # Errors
    /// [`ErrorKind::BadOption`] when either can't be read.
    pub fn identity_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self> {
        let chain = certificates("the client's certificate", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|e| unusable("the key of the client's certificate", e))?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    fn config(&self) -> Result<ClientConfig> {
        // The provider is named, so that it doesn't matter which others are linked in.
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("TLS", e))?;
        let builder: ConfigBuilder<ClientConfig, WantsClientCert> = if self.without_system_roots {
            let mut roots = RootCertStore::empty();
            for root in &self.roots {
                let added = roots.add(root.clone());
                added.map_err(|e| unusable("a root certificate", e))?;
            }
            builder.with_root_certificates(roots)
        } else {
            let verifier = system_verifier(&self.roots, provider)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        };
        let mut config = match &self.identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|e| unusable("the client's certificate", e))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The verifier of the system, which trusts `roots` too.
#[cfg(not(target_os = "android"))]
fn system_verifier(
    roots: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Verifier> {
    Verifier::new_with_extra_roots(roots.iter().cloned(), provider)
        .map_err(|e| unusable("the certificate store of the system", e))
}

/// The verifier of Android, which takes no further roots: an app names them in its network
/// security configuration.
#[cfg(target_os = "android")]
fn system_verifier(
    roots: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<Verifier> {
    if !roots.is_empty() {
        let hint = "Android takes them from the app's network security configuration";
        return Err(unusable(
            "root certificates beside those of the system",
            hint,
        ));
    }
    Verifier::new(provider).map_err(|e| unusable("the certificate store of the system", e))
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_slice_iter(pem)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| unusable(what, e))?;
    if read.is_empty() {
        return Err(unusable(what, "there is none in the PEM text"));
    }
    Ok(read)
}

fn unusable(what: &str, cause: impl std::fmt::Display) -> Error {
    ErrorKind::BadOption(format!("{what} can't be used: {cause}")).into()
}

/// Encrypts connections.
#[derive(Clone)]
pub(super) struct Tls {
    connector: Option<TlsConnector>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    pub(super) fn new(options: &NetOptions) -> Result<Self> {
        let config = Arc::new(options.tls.config()?);
        Ok(Self {
            connector: Some(config.into()),
        })
    }

    /// For addresses that need none; reading the system's store takes time.
    pub(super) const fn unused() -> Self {
        Self { connector: None }
    }

    pub(super) async fn secure(&self, host: &str, stream: Stream) -> Result<Stream> {
        let Some(connector) = &self.connector else {
            return Err(ErrorKind::Tls.into());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|e| Error::with_source(ErrorKind::Tls, e))?;
        let stream = connector.connect(name, stream).await.map_err(failure)?;
        Ok(Stream::new(stream))
    }
}

/// Tells a certificate that isn't trusted from a handshake that failed otherwise and from a
/// connection that broke.
fn failure(error: io::Error) -> Error {
    let kind = match rustls_error(&error) {
        Some(rustls::Error::InvalidCertificate(_)) => ErrorKind::UntrustedServer,
        Some(_) => ErrorKind::Tls,
        None => ErrorKind::Transport,
    };
    Error::with_source(kind, error)
}

/// Whether the server ended the connection by an alert. In TLS 1.3 it refuses a client's
/// certificate after the handshake.
pub(super) fn is_alert(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    matches!(
        io.and_then(rustls_error),
        Some(rustls::Error::AlertReceived(_))
    )
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_when_it_is_given() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!\n"] {
            let error = TlsOptions::default().trust_pem(pem.as_bytes()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::BadOption(_)), "{error}");
        }
        let error = TlsOptions::default().identity_pem(b"", b"").unwrap_err();
        assert!(
            error.to_string().contains("client's certificate"),
            "{error}"
        );
    }
}
