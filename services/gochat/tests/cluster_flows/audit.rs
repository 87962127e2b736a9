//! Acts of operators over several gateways, and when they can't be recorded.

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::error_from;
use gochat_proto::im::logic::v1::admin_service_client::AdminServiceClient;
use gochat_proto::im::logic::v1::{AuditEntry, DisableUserRequest, ListAuditRequest, UserSelector};

use crate::kit::{User, eventually};
use crate::rig::{Cluster, SOON};

fn selector(user: &User) -> Option<UserSelector> {
    Some(UserSelector {
        user_id: user.id.clone(),
        ..Default::default()
    })
}

async fn disable(cluster: &Cluster, user: &User) -> Result<(), gochat_core::error::Error> {
    let request = DisableUserRequest {
        operator: "test".into(),
        user: selector(user),
        reason: String::new(),
    };
    let mut admin = AdminServiceClient::new(cluster.admin("logic-1"));
    let answer = admin.disable_user(request).await;
    answer.map(drop).map_err(|status| error_from(&status))
}

async fn records(cluster: &Cluster, user: &User) -> Vec<AuditEntry> {
    let request = ListAuditRequest {
        operator: "test".into(),
        user: selector(user),
        ..Default::default()
    };
    let mut admin = AdminServiceClient::new(cluster.admin("logic-2"));
    admin
        .list_audit(request)
        .await
        .unwrap()
        .into_inner()
        .records
}

#[tokio::test]
async fn a_disabled_user_is_out_of_every_gateway_at_once() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let elsewhere = cluster.at("gateway-2", &user);
    let mut sockets = [user.connect().await, elsewhere.connect().await];
    disable(&cluster, &user).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(socket.closed_within(SOON).await, 4002);
    }
    for gateway in ["gateway-1", "gateway-2"] {
        let answer = cluster.at(gateway, &user).get("/users/profile").await;
        answer.refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn an_act_that_can_not_be_recorded_does_not_happen() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let mut socket = user.connect().await;
    cluster.gates.cut("logic-", "AppendAudit");
    let error = disable(&cluster, &user).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(error.code, ErrorCode::ServiceUnavailable);
    socket.flush().await;
    user.get("/users/profile").await.data();
    cluster.gates.open();
    disable(&cluster, &user).await.unwrap();
    assert_eq!(socket.closed_within(SOON).await, 4002);
}

#[tokio::test]
async fn records_wait_out_an_absence_of_im_repo() {
    let cluster = Cluster::new().await;
    cluster.gates.cut("logic-", "AppendAudit");
    // Users go on: their acts are recorded later.
    let user = cluster.user("gateway-1").await;
    let other = cluster.user("gateway-2").await;
    let group = user.group("tea", &[&other]).await;
    let path = format!("/conversations/{group}/members/{}", other.id);
    user.delete(&path).await.data();
    assert!(records(&cluster, &user).await.is_empty());
    cluster.gates.open();
    eventually("the acts are recorded", || async {
        let actions: Vec<_> = records(&cluster, &user)
            .await
            .into_iter()
            .map(|r| (r.action, r.target))
            .collect();
        let expected = [
            ("session.sign_in".to_owned(), user.id.clone()),
            ("group.member_removed".to_owned(), group.clone()),
        ];
        expected.iter().all(|e| actions.contains(e)).then_some(())
    })
    .await;
}
