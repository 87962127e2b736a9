//! One message is one trace.

use bytes::Bytes;
use gochat_infra::port::mq::TopicPartition;
use gochat_infra::topics;
use serde_json::json;

use crate::kit::{FEW_ARE_MANY, Server};
use crate::rig::{Trace, sampling};

const CONTENT: &str = "the content of a traced message";
const SAVE: &str = "im.repo.v1.MessageService/BatchSaveMessages";
const SEND: &str = "POST /api/conversations/{conversationId}/messages";

/// A message of a chat of two: its steps, and what is above each.
#[track_caller]
fn is_the_way_of_a_message(trace: &Trace) {
    let (receive, sequence) = (trace.one("receive"), trace.one("sequence"));
    assert_eq!(trace.above(sequence), receive);
    assert_eq!(
        sequence.attribute("gochat.conversation.kind"),
        Some("single")
    );
    assert!(sequence.attribute("gochat.seq").is_some());
    assert!(sequence.attribute("gochat.batch").is_some());
    let (persist, push) = (trace.one("persist"), trace.one("push"));
    assert_eq!(trace.above(persist), sequence);
    assert_eq!(trace.above(push), sequence);
    let [client, server] = trace.all(SAVE)[..] else {
        panic!("the rows are written by one call");
    };
    assert_eq!(trace.above(client), persist);
    assert_eq!(trace.above(server), client);
    assert_eq!(server.attribute("rpc.grpc.status_code"), Some("0"));
    // The record is pushed after the step is committed, and never before it began.
    assert!(push.start >= sequence.start && persist.start >= sequence.start);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_from_a_socket_is_one_trace_through_all_services() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let chat = a.chat_with(&b).await;
    let (mut from, mut to) = (a.connect().await, b.connect().await);
    traces.sample(1.0, false);
    from.say(&chat, CONTENT, "c-1").await;
    from.acked("c-1").await;
    to.hears(CONTENT).await;
    let trace = traces
        .of_message(&[
            ("receive", 1),
            ("sequence", 1),
            ("persist", 1),
            ("push", 1),
            (SAVE, 2),
        ])
        .await;
    is_the_way_of_a_message(&trace);
    let receive = trace.one("receive");
    assert_eq!(receive.attribute("gochat.transport"), Some("websocket"));
    trace.is_sound("receive", &[CONTENT, &a.token, &b.token]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_http_has_the_trace_id_of_its_request() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let chat = a.chat_with(&b).await;
    let mut to = b.connect().await;
    traces.sample(1.0, false);
    let id = "0190a5c8-7b3e-7000-8000-0000000000ab";
    let body = json!({"messageType": 1, "content": CONTENT}).to_string();
    let bearer = format!("Bearer {}", a.token);
    // A stranger's wish to be traced changes nothing: the trace begins here.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-trace-id", id),
        ("traceparent", parent),
    ];
    let path = format!("/api/conversations/{chat}/messages");
    let sent = server
        .http()
        .raw("POST", &path, &headers, Bytes::from(body))
        .await;
    assert_eq!(sent.header("x-trace-id"), id);
    sent.data_with(201);
    to.hears(CONTENT).await;
    let trace = traces
        .of_message(&[(SEND, 1), ("receive", 1), ("push", 1), (SAVE, 2)])
        .await;
    is_the_way_of_a_message(&trace);
    let request = trace.one(SEND);
    assert_eq!(request.trace, id.replace('-', ""));
    assert_eq!(trace.above(trace.one("receive")), request);
    assert_eq!(request.attribute("http.response.status_code"), Some("201"));
    trace.is_sound(SEND, &[CONTENT, &a.token]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_group_is_served_below_its_fan_out() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&[FEW_ARE_MANY]).await else {
        return;
    };
    let [a, b, c, d] = server.users().await;
    let group = a.group("many", &[&b, &c, &d]).await;
    let (mut from, mut to) = (a.connect().await, b.connect().await);
    traces.sample(1.0, false);
    from.say(&group, CONTENT, "c-1").await;
    from.acked("c-1").await;
    to.hears(CONTENT).await;
    // Pages are pushed like repeats: a connection that has seen a later message leaves them out.
    let spans = [("sequence", 1), ("persist", 1), ("fan-out", 1), ("push", 1)];
    let trace = crate::kit::eventually("the push of the page", async || {
        let trace = traces.of_message(&spans).await;
        let fanout = trace.one("fan-out");
        let mut pushes = trace.0.iter().filter(|span| span.name == "push");
        let has_page = pushes.any(|push| std::ptr::eq(trace.above(push), fanout));
        has_page.then_some(trace)
    })
    .await;
    let (sequence, fanout) = (trace.one("sequence"), trace.one("fan-out"));
    assert_eq!(trace.above(fanout), sequence);
    assert_eq!(trace.above(trace.one("push")), sequence, "the author's ack");
    trace.is_sound("receive", &[CONTENT]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_world_chat_and_what_follows_an_event_are_traced_too() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let (mut from, mut to) = (a.connect().await, b.connect().await);
    traces.sample(1.0, false);
    let acked = from.say_acked("world", CONTENT, "c-1").await;
    to.hears(CONTENT).await;
    let trace = traces.of_message(&[("push", 1), (SAVE, 2)]).await;
    assert_eq!(trace.one("push").attribute("gochat.broadcast"), Some("1"));
    assert_eq!(trace.above(trace.one("push")), trace.one("sequence"));

    traces.forget();
    let id = crate::kit::text(&acked["messageId"]);
    let path = format!("/conversations/world/messages/{id}");
    a.delete(&path).await.data();
    let recalled = crate::kit::eventually("the recall's trace", async || {
        let spans = traces.spans();
        let request = spans.iter().find(|s| s.name.starts_with("DELETE "))?;
        let ours: Vec<_> = spans.iter().filter(|s| s.trace == request.trace).collect();
        let rpc = "im.logic.v1.MessageService/DeleteMessage";
        let rpcs = ours.iter().filter(|s| s.name == rpc).count();
        let one = |name: &str| ours.iter().find(|s| s.name == name);
        let (receive, sequence) = (one("receive")?, one("sequence")?);
        let is_chain = sequence.parent == receive.id;
        let pushed = ours.iter().filter(|s| s.name == "push");
        let is_pushed = pushed.into_iter().any(|push| push.parent == sequence.id);
        is_pushed.then(|| (request.parent.clone(), rpcs, is_chain))
    });
    assert_eq!(recalled.await, (String::new(), 2, true));

    let chat = a.chat_with(&b).await;
    a.say(&chat, CONTENT).await.data();
    b.history_of(&chat, 1).await;
    traces.forget();
    b.put(
        &format!("/conversations/{chat}/read"),
        serde_json::json!({}),
    )
    .await
    .data();
    let read = crate::kit::eventually("the read's trace", async || {
        let spans = traces.spans();
        let request = spans.iter().find(|s| s.name.starts_with("PUT "))?;
        // What led here may have events of its own, which end when they end.
        let mut events = spans.iter().filter(|span| span.name == "event");
        events
            .any(|event| event.trace == request.trace)
            .then(|| request.parent.clone())
    });
    assert_eq!(read.await, String::new());
}

/// Only the log knows what was written: nothing about traces, unless the message is one of a trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_carry_a_header_if_and_only_if_their_message_is_sampled() {
    let traces = sampling(0.0, false).await;
    let Some(server) = Server::with(&["storage.partitions=1"]).await else {
        return;
    };
    let a = server.user().await;
    let mut from = a.connect().await;
    from.say_acked("world", CONTENT, "c-1").await;
    traces.sample(1.0, false);
    from.say_acked("world", CONTENT, "c-2").await;
    for topic in [topics::UPSTREAM, topics::PERSIST] {
        let log = server.log().unwrap();
        let tp = TopicPartition::new(topic, 0);
        let mut headers = Vec::new();
        // A read may end where the records in memory begin.
        loop {
            let from = headers.len() as u64;
            let read = log.read(&tp, from, 10).await.unwrap();
            if read.is_empty() {
                break;
            }
            headers.extend(read.iter().map(|r| r.record.headers.len()));
        }
        assert_eq!(headers, [0, 1], "{topic}");
    }
}
