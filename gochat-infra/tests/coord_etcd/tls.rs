//! An etcd that lets in who has a certificate.

use gochat_infra::cluster::etcd::EtcdCoord;
use gochat_infra::port::coord::ConfigCenter;

use crate::certificates::Authority;
use crate::server::{OwnEtcd, config, connect};

#[tokio::test]
async fn etcd_over_mutual_tls() {
    let authority = Authority::new();
    let files = authority.server(true);
    let path = |path: std::path::PathBuf| path.into_os_string().into_string().unwrap();
    let arguments = vec![
        "--cert-file".into(),
        path(files.cert_file),
        "--key-file".into(),
        path(files.key_file),
        "--trusted-ca-file".into(),
        path(authority.path("ca.pem")),
        "--client-cert-auth".into(),
    ];
    let etcd = OwnEtcd::start_with("https", arguments).await;
    let mut config = config(&format!("https://127.0.0.1:{}", etcd.port()));
    config.tls = Some(authority.client());
    let coord = connect(config.clone()).await;
    let version = coord.set("/config/a", "1").await.unwrap();
    let watched = ConfigCenter::watch(&coord, "/config/").await.unwrap();
    assert_eq!(watched.borrow()["/config/a"].version, version);

    config.connect_wait_ms = 500;
    config.tls = Some(authority.stranger());
    assert!(EtcdCoord::connect(config.clone()).await.is_err());
    config.tls = None;
    assert!(EtcdCoord::connect(config).await.is_err());
}
