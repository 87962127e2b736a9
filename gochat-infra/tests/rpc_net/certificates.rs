//! Authorities and certificates made for a test.

use std::path::{Path, PathBuf};

use gochat_infra::rpc::{ClientTls, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority with a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            folder: TempDir::new().unwrap(),
        };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    /// Signs a certificate for a host; the files are `{host}.pem` and `{host}.key` in `folder`.
    pub(crate) fn sign_into(&self, folder: &Path, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let paths = (
            folder.join(format!("{host}.pem")),
            folder.join(format!("{host}.key")),
        );
        std::fs::write(&paths.0, signed.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    pub(crate) fn server(&self, mutual: bool) -> ServerTls {
        let (cert_file, key_file) = self.sign_into(self.folder.path(), "127.0.0.1");
        ServerTls {
            cert_file,
            key_file,
            client_ca_file: mutual.then(|| self.path("ca.pem")),
            reload_seconds: 1,
        }
    }

    /// A client that trusts this authority, without a certificate.
    pub(crate) fn stranger(&self) -> ClientTls {
        ClientTls {
            ca_file: self.path("ca.pem"),
            cert_file: None,
            key_file: None,
            server_name: None,
        }
    }

    /// A client with a certificate of this authority.
    pub(crate) fn client(&self) -> ClientTls {
        let (cert_file, key_file) = self.sign_into(self.folder.path(), "im-logic");
        ClientTls {
            cert_file: Some(cert_file),
            key_file: Some(key_file),
            ..self.stranger()
        }
    }
}
