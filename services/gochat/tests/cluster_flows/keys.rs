//! Signing keys: two are valid during a rotation, and nobody is signed out.

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::error_from;
use gochat_proto::im::logic::v1::admin_service_client::AdminServiceClient;
use gochat_proto::im::logic::v1::{KeyInfo, ListKeysRequest, RotateKeysRequest};
use serde_json::json;

use crate::kit::{Forge, PASSWORD, User, eventually};
use crate::rig::Cluster;

/// The list of keys ages fast, the lead is short, and longer than two sign-ins on a busy machine;
/// gateways do not ask by themselves while a test runs.
const QUICK: [&str; 3] = [
    "logic.auth.key_lead_s=6",
    "logic.auth.keys_refresh_s=1",
    "gateway.auth.keys_refresh_s=3600",
];

async fn rotate(cluster: &Cluster, logic: &str) -> Result<KeyInfo, ErrorCode> {
    let request = RotateKeysRequest {
        operator: "test".into(),
    };
    let mut admin = AdminServiceClient::new(cluster.admin(logic));
    match admin.rotate_keys(request).await {
        Ok(answer) => Ok(answer.into_inner().key.unwrap()),
        Err(status) => Err(error_from(&status).code),
    }
}

async fn keys(cluster: &Cluster, logic: &str) -> Vec<KeyInfo> {
    let request = ListKeysRequest {
        operator: "test".into(),
    };
    let mut admin = AdminServiceClient::new(cluster.admin(logic));
    admin.list_keys(request).await.unwrap().into_inner().keys
}

async fn works(user: &User) {
    user.call("GET", "/users/profile", None).await.data();
}

async fn again(cluster: &Cluster, gateway: &str, user: &User) -> User {
    let account = json!({"username": user.name, "password": PASSWORD});
    let http = cluster.http(gateway);
    let session = http.call("POST", "/auth/login", None, Some(account)).await;
    User::new(http, &session.data())
}

#[tokio::test]
async fn a_rotation_signs_nobody_out_and_every_gateway_learns_the_new_key() {
    let cluster = Cluster::with(&QUICK).await;
    let user = cluster.user("gateway-1").await;
    let mut socket = user.connect().await;
    let old = Forge::kid_of(&user.token);

    let published = rotate(&cluster, "logic-1").await.unwrap();
    assert_eq!(published.state, "waiting");
    // Both im-logic wait for its time.
    let early = again(&cluster, "gateway-1", &user).await;
    assert_eq!(Forge::kid_of(&early.token), old);
    assert_eq!(
        rotate(&cluster, "logic-2").await.unwrap_err(),
        ErrorCode::VersionConflict,
        "one rotation at a time"
    );

    // Asked of the list and not by signing in: a user has so many sessions.
    eventually("both im-logic sign with the new key", || async {
        for logic in ["logic-1", "logic-2"] {
            let states = keys(&cluster, logic).await;
            if states.len() != 2 || states[1].state != "signing" {
                return None;
            }
        }
        Some(())
    })
    .await;
    let fresh = again(&cluster, "gateway-1", &user).await;
    assert_eq!(Forge::kid_of(&fresh.token), published.kid);
    // The gateways were never told: a token of an unknown key makes them ask.
    for gateway in ["gateway-1", "gateway-2"] {
        works(&cluster.at(gateway, &fresh)).await;
        works(&cluster.at(gateway, &user)).await;
        works(&cluster.at(gateway, &early)).await;
        cluster.at(gateway, &fresh).connect().await.flush().await;
    }
    socket.flush().await;
    // An old refresh token gives tokens of the new key.
    let body = json!({"refreshToken": user.refresh_token});
    let renewed = cluster
        .http("gateway-2")
        .call("POST", "/auth/refresh", None, Some(body))
        .await
        .data();
    let token = renewed["accessToken"].as_str().unwrap();
    eventually("every im-logic signs with the new key", || async {
        let states = keys(&cluster, "logic-2").await;
        (states.len() == 2 && states[1].state == "signing").then_some(())
    })
    .await;
    let renewed = Forge::kid_of(token);
    assert!(renewed == old || renewed == published.kid, "{renewed}");
    let states = keys(&cluster, "logic-1").await;
    assert_eq!(states[0].state, "verifying");
    assert!(states[0].retires_at > states[1].signs_from + 7 * 86_400);
}

#[tokio::test]
async fn instances_that_start_at_once_share_one_first_key() {
    let cluster = Cluster::with(&QUICK).await;
    let users = [
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
        cluster.user("gateway-1").await,
    ];
    let first = Forge::kid_of(&users[0].token);
    assert!(users.iter().all(|u| Forge::kid_of(&u.token) == first));
    let [one, two] = [
        keys(&cluster, "logic-1").await,
        keys(&cluster, "logic-2").await,
    ];
    assert_eq!((one.len(), two.len()), (1, 1));
    assert_eq!(one[0].kid, two[0].kid);
}

#[tokio::test]
async fn known_keys_stay_in_use_while_im_logic_is_away() {
    let mut cluster = Cluster::with(&["gateway.auth.keys_refresh_s=1"]).await;
    let user = cluster.user("gateway-1").await;
    let mut socket = user.connect().await;
    cluster.gates.cut("gateway-", "KeyService");
    let other = cluster.user("gateway-1").await;
    socket.flush().await;
    let mut next = other.connect().await;
    next.flush().await;
    // A gateway that starts now holds no key: it says that a retry can help, and not that the token
    // is bad.
    cluster.start_gateway("gateway-3").await;
    let refused = cluster
        .at("gateway-3", &user)
        .call("GET", "/users/profile", None)
        .await;
    assert_eq!(refused.code(), "SERVICE_UNAVAILABLE");
    cluster.gates.open();
    eventually("it learns the keys", || async {
        let answer = cluster
            .at("gateway-3", &user)
            .call("GET", "/users/profile", None)
            .await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_of_an_invented_key_is_refused_and_costs_one_question_a_second() {
    let cluster = Cluster::with(&QUICK).await;
    let user = cluster.user("gateway-1").await;
    let forge = Forge::of(cluster.channel("repo-1"), crate::rig::SECRET).await;
    for n in 0..20 {
        let claims = forge.claims(&user.token);
        let stranger = gochat_infra::token::KeyPair::generate().unwrap();
        let signer = gochat_infra::token::Signer::ed25519(&format!("invented-{n}"), &stranger);
        let forged = User {
            token: signer.sign(&claims).unwrap(),
            ..user.clone()
        };
        let refused = forged.call("GET", "/users/profile", None).await;
        assert_eq!(refused.code(), "INVALID_TOKEN");
    }
    works(&user).await;
}
