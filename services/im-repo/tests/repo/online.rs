//! OnlineStatusService.

use gochat_core::error::ErrorCode;
use gochat_proto::im::repo::v1::{
    Session, SetUserOfflineRequest, SetUserOnlineRequest, SetUserOnlineResponse,
    SetUsersOfflineRequest, SetUsersOnlineRequest, UpdateHeartbeatsRequest,
};

use crate::call;
use crate::harness::{Repo, code, now};

fn session(user: &str, gateway: &str, conn_id: u64) -> SetUserOnlineRequest {
    SetUserOnlineRequest {
        user_id: user.into(),
        gateway_id: gateway.into(),
        client_info: format!("client {conn_id}"),
        conn_id,
        ..Default::default()
    }
}

async fn online(repo: &Repo, session: SetUserOnlineRequest) -> SetUserOnlineResponse {
    repo.online()
        .set_user_online(session)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn the_first_session_says_so_and_the_status_names_every_gateway() {
    let repo = Repo::start().await;
    let first = online(&repo, session("1", "gw-1", 11)).await;
    assert!(first.success && first.first_session);
    let second = online(&repo, session("1", "gw-2", 12)).await;
    assert!(!second.first_session);
    let status = second.status.unwrap();
    assert_eq!(status.gateway_ids, ["gw-2", "gw-1"]);
    assert_eq!(
        (status.gateway_id.as_str(), status.client_info.as_str()),
        ("gw-2", "client 12")
    );

    let statuses = call!(
        repo.online(),
        get_users_online_status,
        GetUsersOnlineStatusRequest {
            user_ids: vec!["2".to_owned(), "1".to_owned()]
        }
    );
    let statuses = statuses.unwrap().into_inner().statuses;
    let shown: Vec<_> = statuses
        .iter()
        .map(|s| (s.user_id.as_str(), s.is_online))
        .collect();
    assert_eq!(shown, [("2", false), ("1", true)]);
    let gateways = call!(
        repo.online(),
        list_online_gateways,
        ListOnlineGatewaysRequest {}
    );
    assert_eq!(gateways.unwrap().into_inner().gateway_ids, ["gw-1", "gw-2"]);
}

#[tokio::test]
async fn half_a_session_is_refused() {
    let repo = Repo::start().await;
    for bad in [
        session("", "gw-1", 1),
        session("1", "", 1),
        session("1", "gw-1", 0),
    ] {
        let refused = repo.online().set_user_online(bad.clone()).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams);
        let batch = SetUsersOnlineRequest {
            sessions: vec![session("1", "gw-1", 5), bad],
        };
        assert_eq!(
            code(repo.online().set_users_online(batch).await),
            ErrorCode::InvalidParams
        );
    }
}

#[tokio::test]
async fn the_oldest_session_is_evicted_beyond_the_limit() {
    let repo = Repo::start().await;
    for conn in 1..=5 {
        assert!(
            online(&repo, session("1", "gw-1", conn))
                .await
                .evicted
                .is_empty()
        );
    }
    let sixth = online(&repo, session("1", "gw-2", 6)).await;
    let evicted: Vec<_> = sixth
        .evicted
        .iter()
        .map(|e| (e.gateway_id.as_str(), e.conn_id))
        .collect();
    assert_eq!(evicted, [("gw-1", 1)], "five is the default");
    let only = SetUserOnlineRequest {
        max_sessions: 1,
        ..session("1", "gw-3", 7)
    };
    assert_eq!(online(&repo, only).await.evicted.len(), 5);
}

#[tokio::test]
async fn connections_that_replace_each_other_too_fast_are_refused() {
    let repo = Repo::start().await;
    let device = |conn| SetUserOnlineRequest {
        device_id: "phone".into(),
        ..session("1", "gw-1", conn)
    };
    let mut refused = None;
    for conn in 1..50 {
        if let Err(status) = repo.online().set_user_online(device(conn)).await {
            refused = Some(gochat_infra::rpc::error_from(&status).code);
            break;
        }
    }
    assert_eq!(refused, Some(ErrorCode::RateLimited));
    let batch = SetUsersOnlineRequest {
        sessions: vec![device(90), session("2", "gw-1", 91)],
    };
    let results = repo
        .online()
        .set_users_online(batch)
        .await
        .unwrap()
        .into_inner()
        .results;
    let success: Vec<_> = results.iter().map(|r| r.success).collect();
    assert_eq!(
        success,
        [false, true],
        "one user's storm does not hold up the others"
    );
}

#[tokio::test]
async fn a_goodbye_counts_only_for_the_socket_it_names() {
    let repo = Repo::start().await;
    let sessions = vec![
        session("1", "gw-1", 1),
        session("1", "gw-1", 2),
        session("2", "gw-1", 3),
    ];
    repo.online()
        .set_users_online(SetUsersOnlineRequest { sessions })
        .await
        .unwrap();
    let gone = |user: &str, gateway: &str, conn_id| SetUserOfflineRequest {
        user_id: user.into(),
        gateway_id: gateway.into(),
        conn_id,
    };
    let sessions = vec![
        gone("1", "gw-2", 1),
        gone("1", "gw-1", 1),
        gone("2", "gw-1", 3),
    ];
    let batch = SetUsersOfflineRequest { sessions };
    let results = repo
        .online()
        .set_users_offline(batch)
        .await
        .unwrap()
        .into_inner()
        .results;
    let shown: Vec<_> = results
        .iter()
        .map(|r| (r.success, r.still_online))
        .collect();
    assert_eq!(shown, [(false, true), (true, true), (true, false)]);

    let rest = repo
        .online()
        .set_user_offline(gone("1", "gw-1", 0))
        .await
        .unwrap()
        .into_inner();
    assert!(rest.success && !rest.still_online);
    let status = call!(
        repo.online(),
        get_user_online_status,
        GetUserOnlineStatusRequest { user_id: "1" }
    );
    let status = status.unwrap().into_inner().status.unwrap();
    assert!(!status.is_online && status.last_seen > 0);
}

#[tokio::test]
async fn heartbeats_name_the_sessions_to_register_again() {
    let repo = Repo::start().await;
    online(&repo, session("1", "gw-1", 1)).await;
    let beat = |user: &str, conn_id| Session {
        user_id: user.into(),
        conn_id,
    };
    let request = UpdateHeartbeatsRequest {
        gateway_id: "gw-1".into(),
        sessions: vec![beat("1", 1), beat("1", 9), beat("7", 7)],
    };
    let answer = repo
        .online()
        .update_heartbeats(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.updated_count, answer.missing),
        (1, vec![beat("1", 9), beat("7", 7)])
    );

    let single = |gateway: &'static str| {
        let mut client = repo.online();
        async move {
            let beat = call!(
                client,
                update_heartbeat,
                UpdateHeartbeatRequest {
                    user_id: "1",
                    gateway_id: gateway
                }
            );
            beat.unwrap().into_inner().success
        }
    };
    assert!(single("gw-1").await);
    assert!(!single("gw-2").await);
}

#[tokio::test]
async fn a_gateway_that_starts_drops_what_its_earlier_run_left_and_nothing_of_its_own() {
    let repo = Repo::start().await;
    for (user, conn) in [("1", 100), ("2", 200)] {
        online(&repo, session(user, "gw-1", conn)).await;
    }
    online(&repo, session("3", "gw-2", 50)).await;
    let request = gochat_proto::im::repo::v1::DropGatewayRequest {
        gateway_id: "gw-1".into(),
        before_conn_id: 200,
    };
    let dropped = repo.online().drop_gateway(request).await.unwrap();
    let dropped = dropped.into_inner();
    assert_eq!(
        (dropped.dropped_count, dropped.user_ids),
        (1, vec!["1".to_owned()])
    );
}

#[tokio::test]
async fn arrivals_are_listed_after_a_position() {
    let repo = Repo::start().await;
    let list = |after: String| {
        let mut client = repo.online();
        let request = gochat_proto::im::repo::v1::ListArrivalsRequest { after, limit: 10 };
        async move { client.list_arrivals(request).await.unwrap().into_inner() }
    };
    online(&repo, session("1", "gw-1", 1)).await;
    let start = list(String::new()).await;
    assert!(start.arrivals.is_empty() && start.gap);
    online(&repo, session("2", "gw-2", 2)).await;
    let next = list(start.next).await;
    assert!(!next.gap);
    let seen: Vec<_> = next
        .arrivals
        .iter()
        .map(|a| (&*a.user_id, &*a.gateway_id))
        .collect();
    assert_eq!(seen, [("2", "gw-2")]);
    assert!(list(next.next).await.arrivals.is_empty());
}

#[tokio::test]
async fn a_clean_up_tells_who_is_offline_now() {
    let repo = Repo::start().await;
    online(&repo, session("1", "gw-1", 1)).await;
    let clean = |before: i64| {
        let mut client = repo.online();
        async move {
            let gone = call!(
                client,
                cleanup_expired_status,
                CleanupExpiredStatusRequest {
                    expired_before: before,
                    batch_size: 10
                }
            );
            let gone = gone.unwrap().into_inner();
            (gone.cleaned_count, gone.user_ids)
        }
    };
    assert_eq!(
        clean(0).await,
        (0, vec![]),
        "without a time, only what is past its time"
    );
    assert_eq!(clean(now() + 60).await, (1, vec!["1".to_owned()]));
}
