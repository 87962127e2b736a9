//! What is not sampled leaves nothing, and who may ask to be traced.

use bytes::Bytes;
use gochat_infra::telemetry::{self, Sampling};
use serde_json::json;

use crate::kit::{Server, User};
use crate::rig::sampling;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn send_with_parent(server: &Server, user: &User, parent: &str) {
    let body = json!({"messageType": 1, "content": "hello"}).to_string();
    let bearer = format!("Bearer {}", user.token);
    let headers = [("authorization", bearer.as_str()), ("traceparent", parent)];
    let path = "/api/conversations/world/messages";
    let sent = server
        .http()
        .raw("POST", path, &headers, Bytes::from(body))
        .await;
    sent.data_with(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exported_of_what_is_not_sampled() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let a = server.user().await;
    let mut socket = a.connect().await;
    traces.forget();
    for n in 0..20 {
        socket.say_acked("world", "hello", &format!("c-{n}")).await;
    }
    // Nor because a stranger says so: with an id that the other test doesn't use.
    let parent = PARENT.replace("-4bf92f", "-5bf92f");
    send_with_parent(&server, &a, &parent).await;
    a.history("world").await;
    // A fence: what is sampled after them comes by the same queues, and is all there is.
    telemetry::set_sampling(&Sampling {
        ratio: 1.0,
        accept_parent: false,
    });
    socket.say_acked("world", "traced", "c-traced").await;
    let fence = traces
        .of_message(&[("receive", 1), ("sequence", 1), ("persist", 1)])
        .await;
    let fence = &fence.one("receive").trace;
    let spans = traces.fresh();
    let others: Vec<_> = spans.iter().filter(|s| s.trace != *fence).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_trace_goes_on_where_that_is_allowed() {
    let traces = sampling(0.0, true).await;
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let a = server.user().await;
    traces.forget();
    send_with_parent(&server, &a, &PARENT.replace("-01", "-00")).await;
    send_with_parent(&server, &a, PARENT).await;
    let trace = traces
        .of_message(&[("receive", 1), ("sequence", 1), ("persist", 1)])
        .await;
    let request = trace.one("POST /api/conversations/{conversationId}/messages");
    assert_eq!(request.parent, "00f067aa0ba902b7");
    assert_eq!(request.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    // The one whose parent is not sampled left nothing.
    let foreign = traces
        .fresh()
        .into_iter()
        .filter(|s| s.trace != request.trace);
    assert_eq!(foreign.count(), 0);
}
