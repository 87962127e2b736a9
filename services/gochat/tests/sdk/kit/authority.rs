//! An authority of a test, and TLS of servers with its certificates.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use gochat_client::TlsOptions;

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // Of two authorities of one name the client would take either for the issuer.
        let name = format!("authority {}", rand::random::<u64>());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Self { issuer }
    }

    /// A certificate for a name and its key, both PEM.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        (signed.pem(), key.serialize_pem())
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client that trusts only this authority.
    pub(crate) fn trusted(&self) -> TlsOptions {
        TlsOptions::default()
            .without_system_roots()
            .trust_pem(self.pem().as_bytes())
            .expect("a root")
    }

    /// A server with a certificate for `host`.
    pub(crate) fn acceptor(&self, host: &str) -> TlsAcceptor {
        self.acceptor_of(host, rustls::ALL_VERSIONS, false)
    }

    /// A server that asks its clients for certificates of this authority.
    pub(crate) fn mutual(
        &self,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        self.acceptor_of(host, versions, true)
    }

    fn acceptor_of(
        &self,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
        is_mutual: bool,
    ) -> TlsAcceptor {
        let (cert, key) = self.sign(host);
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("versions ring knows");
        let builder = if is_mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(chain, key).expect("a pair");
        Arc::new(config).into()
    }
}
