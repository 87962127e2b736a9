//! Getting in: no etcd, passwords.

use std::time::{Duration, Instant};

use etcd_client::{Permission, PermissionType};
use gochat_core::error::ErrorCode;
use gochat_infra::cluster::etcd::EtcdCoord;
use gochat_infra::port::coord::{ConfigCenter, Locks};

use crate::server::{OwnEtcd, config, connect, soon, until};

#[tokio::test]
async fn connecting_to_nobody_ends_with_a_clear_error_in_time() {
    let mut config = config("http://127.0.0.1:1");
    config.connect_wait_ms = 500;
    let began = Instant::now();
    let error = EtcdCoord::connect(config).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.message.contains("127.0.0.1:1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn etcd_may_come_up_after_those_who_need_it() {
    let mut etcd = OwnEtcd::start().await;
    etcd.kill();
    let connecting = tokio::spawn(EtcdCoord::connect(config(&etcd.url())));
    etcd.revive().await;
    let coord = connecting.await.unwrap().unwrap();
    coord.ping().await.unwrap();
}

#[tokio::test]
async fn one_of_several_members_is_enough() {
    let etcd = OwnEtcd::start().await;
    let mut config = config(&etcd.url());
    config.endpoints.insert(0, "http://127.0.0.1:1".into());
    config.endpoints.push("127.0.0.1:2".into());
    let coord = connect(config).await;
    for turn in 0..20 {
        coord.set("/k", &turn.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_tokens_are_renewed() {
    let etcd = OwnEtcd::start_with("http", vec!["--auth-token-ttl".into(), "2".into()]).await;
    let mut raw = etcd.raw().client().await;
    let mut config = config(&etcd.url());
    raw.role_add("gochat").await.unwrap();
    let all = Permission::new(PermissionType::Readwrite, config.namespace.clone()).with_prefix();
    raw.role_grant_permission("gochat", all).await.unwrap();
    for (name, role) in [("root", "root"), ("gochat", "gochat")] {
        if role == "root" {
            raw.role_add(role).await.unwrap();
        }
        raw.user_add(name, "s3cret", None).await.unwrap();
        raw.user_grant_role(name, role).await.unwrap();
    }
    raw.auth_enable().await.unwrap();

    let refused = EtcdCoord::connect(config.clone()).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused}");
    config.username = Some("gochat".into());
    config.password = Some("wrong".into());
    let refused = EtcdCoord::connect(config.clone()).await.unwrap_err();
    assert_ne!(refused.code, ErrorCode::ServiceUnavailable, "{refused}");
    assert!(
        !format!("{config:?}").contains("wrong"),
        "a secret in the log"
    );

    config.password = Some("s3cret".into());
    let coord = connect(config).await;
    let held = coord
        .try_acquire("l", Duration::from_secs(10))
        .await
        .unwrap();
    let mut watched = ConfigCenter::watch(&coord, "/config/").await.unwrap();
    let began = Instant::now();
    // For longer than a token and the lease live.
    until("many writes", || async {
        coord.set("/config/a", "x").await.unwrap();
        began.elapsed() > Duration::from_secs(15)
    })
    .await;
    coord.set("/config/b", "x").await.unwrap();
    let both = watched.wait_for(|state| state.len() == 2);
    soon("the watch goes on", both).await.unwrap();
    assert!(!held.is_lost());
}
