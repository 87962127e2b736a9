//! Health, envelopes, trace headers, CORS, paging.

use bytes::Bytes;
use serde_json::json;

use crate::kit::{Server, list, now, seqs, texts};

#[tokio::test]
async fn health_needs_no_token() {
    let server = Server::shared().await;
    let reply = server.http().raw("GET", "/health", &[], Bytes::new()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["status"], "ok");
    assert!((reply.body["time"].as_i64().unwrap() - now()).abs() < 60);
}

#[tokio::test]
async fn a_success_has_success_message_and_data() {
    let server = Server::shared().await;
    let user = server.user().await;
    let reply = user.get("/users/profile").await;
    assert_eq!(reply.body["success"], true);
    assert!(reply.body["message"].is_string());
    assert!(reply.body["data"].is_object());
    assert!(reply.header("content-type").starts_with("application/json"));
}

#[tokio::test]
async fn a_refusal_has_a_code_a_sentence_and_the_trace_id() {
    let server = Server::shared().await;
    let reply = server.call("GET", "/users/profile", None).await;
    reply.refused(401, "UNAUTHORIZED");
    assert!(!reply.body["message"].as_str().unwrap().is_empty());
    assert_eq!(reply.body["traceId"], reply.header("x-trace-id"));
}

#[tokio::test]
async fn what_does_not_exist_is_answered_in_the_same_envelope() {
    let server = Server::shared().await;
    let user = server.user().await;
    user.get("/nowhere").await.refused(404, "NOT_FOUND");
    let reply = user.call("PATCH", "/users/profile", None).await;
    assert_eq!(reply.status, 405, "{}", reply.body);
    assert_eq!(reply.body["success"], false);
}

#[tokio::test]
async fn a_bearer_header_without_a_bearer_is_a_format_error() {
    let server = Server::shared().await;
    for header in ["Token abc", "Bearer", "abc"] {
        let reply = server
            .http()
            .raw(
                "GET",
                "/api/users/profile",
                &[("authorization", header)],
                Bytes::new(),
            )
            .await;
        reply.refused(401, "INVALID_TOKEN_FORMAT");
    }
    let reply = server
        .http()
        .raw(
            "GET",
            "/api/users/profile",
            &[("authorization", "Bearer abc")],
            Bytes::new(),
        )
        .await;
    reply.refused(401, "INVALID_TOKEN");
}

/// The trace ids a request with these headers is answered with.
async fn traced(server: &Server, headers: &[(&str, &str)]) -> [String; 2] {
    let reply = server
        .http()
        .raw("GET", "/health", headers, Bytes::new())
        .await;
    ["x-trace-id", "x-request-id"].map(|name| reply.header(name).to_owned())
}

#[tokio::test]
async fn a_trace_id_is_echoed_in_both_headers() {
    let server = Server::shared().await;
    let id = "0198a7c6-0000-7000-8000-000000000001";
    assert_eq!(
        traced(&server, &[("x-trace-id", "my-trace-7")]).await,
        ["my-trace-7", "my-trace-7"]
    );
    assert_eq!(traced(&server, &[("x-request-id", id)]).await, [id, id]);
    let both = [("x-request-id", id), ("x-trace-id", "wins")];
    assert_eq!(traced(&server, &both).await, ["wins", "wins"]);
}

#[tokio::test]
async fn a_w3c_trace_is_continued() {
    let server = Server::shared().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let [trace, request] = traced(&server, &[("traceparent", parent)]).await;
    assert!(
        trace
            .replace('-', "")
            .contains("4bf92f3577b34da6a3ce929d0e0e4736"),
        "{trace}"
    );
    assert_eq!(trace, request);
}

#[tokio::test]
async fn without_a_usable_id_a_new_one_is_made() {
    let server = Server::shared().await;
    let [first, request] = traced(&server, &[("x-request-id", "not a uuid")]).await;
    let [second, _] = traced(&server, &[]).await;
    assert_eq!(first, request);
    assert_ne!(first, second);
    assert_eq!(uuid::Uuid::parse_str(&first).unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn browsers_of_other_origins_may_ask() {
    let server = Server::shared().await;
    let headers = [
        ("origin", "https://elsewhere.example"),
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization, x-idempotency-key",
        ),
    ];
    let reply = server
        .http()
        .raw("OPTIONS", "/api/users/profile", &headers, Bytes::new())
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(
            reply
                .header("access-control-allow-methods")
                .contains(method),
            "{method}"
        );
    }
    let allowed = reply.header("access-control-allow-headers").to_lowercase();
    let wanted = [
        "origin",
        "content-type",
        "accept",
        "authorization",
        "x-trace-id",
        "x-request-id",
        "x-idempotency-key",
    ];
    for name in wanted {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    let reply = server
        .http()
        .raw("GET", "/api/users/profile", &headers[..1], Bytes::new())
        .await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        "*",
        "also on refusals"
    );
}

#[tokio::test]
async fn pages_tell_whether_there_are_more() {
    let server = Server::shared().await;
    let [owner, a, b] = server.users().await;
    let group = owner.group("pages", &[&a, &b]).await;
    let members = format!("/conversations/{group}/members");
    let first = owner.get(&format!("{members}?page=1&size=2")).await.data();
    let second = owner.get(&format!("{members}?page=2&size=2")).await.data();
    assert_eq!(
        (list(&first["members"]).len(), &first["hasMore"]),
        (2, &json!(true))
    );
    assert_eq!(
        (list(&second["members"]).len(), &second["hasMore"]),
        (1, &json!(false))
    );
    let mut ids = texts(list(&first["members"]), "userId");
    ids.extend(texts(list(&second["members"]), "userId"));
    ids.sort();
    let mut expected = [owner.id, a.id, b.id];
    expected.sort();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_size_beyond_the_limit_is_capped_and_nonsense_refused() {
    let server = Server::shared().await;
    let user = server.user().await;
    user.get("/conversations?page=1&size=100000").await.data();
    for query in ["page=x", "size=-1", "page=0", "type=9", "last_sync=soon"] {
        user.get(&format!("/conversations?{query}"))
            .await
            .refused(400, "INVALID_PARAMS");
    }
}

#[tokio::test]
async fn history_pages_backwards_by_cursor_and_forwards_by_after_seq() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for i in 1..=7 {
        a.say(&chat, &format!("m{i}")).await.data();
    }
    b.history_of(&chat, 7).await;
    let page = |query: &str| {
        let path = format!("/conversations/{chat}/messages?{query}");
        let b = &b;
        async move {
            let data = b.get(&path).await.data_with(200);
            (
                seqs(list(&data["messages"])),
                data["nextCursor"].as_i64().unwrap_or(0),
                data["hasMore"] == true,
            )
        }
    };
    assert_eq!(page("limit=3").await, (vec![7, 6, 5], 5, true));
    assert_eq!(page("limit=3&cursor=5").await, (vec![4, 3, 2], 2, true));
    assert_eq!(page("limit=3&cursor=2").await, (vec![1], 0, false));
    assert_eq!(page("").await, (vec![7, 6, 5, 4, 3, 2, 1], 0, false));
    assert_eq!(
        page("after_seq=0&limit=4").await,
        (vec![1, 2, 3, 4], 4, true)
    );
    let (last, _, more) = page("after_seq=4&limit=4").await;
    assert_eq!((last, more), (vec![5, 6, 7], false));
    let (none, _, more) = page("after_seq=7").await;
    assert_eq!((none, more), (vec![], false));
}
