//! Every metric of the contract is on `/metrics` and moves when the thing it measures happens; every
//! metric there is in the table of docs/observability.md.

use std::collections::BTreeSet;

use gochat_infra::port::mq::OutRecord;
use gochat_infra::shell::Metrics;
use gochat_infra::topics;
use serde_json::json;

use crate::kit::{FEW_ARE_MANY, PASSWORD, Server, Socket, eventually, fresh_name};

/// What the contract asks for, with a label that must be there.
const WANTED: [&str; 42] = [
    r#"http_requests_total{method="POST",path="/api/conversations/{conversationId}/messages",status="201"}"#,
    r#"http_requests_total{method="GET",path="/ws",status="101"}"#,
    r#"http_request_duration_seconds_count{method="GET",path="/api/conversations"}"#,
    r#"grpc_server_handled_total{grpc_service="im.logic.v1.AuthService",grpc_method="Login",grpc_code="OK"}"#,
    r#"grpc_server_handled_total{grpc_service="im.repo.v1.MessageService",grpc_method="BatchSaveMessages",grpc_code="OK"}"#,
    r#"grpc_server_handling_seconds_count{grpc_service="im.logic.v1.AuthService",grpc_method="Login"}"#,
    "gochat_message_send_total ",
    r#"gochat_message_send_total{type="single"}"#,
    r#"gochat_message_send_total{type="group"}"#,
    r#"gochat_message_send_total{type="world"}"#,
    "gochat_message_send_failures_total{code=",
    "gochat_conversation_load_duration_seconds_count",
    "gochat_fanout_latency_seconds_count",
    "gochat_cache_hit_ratio",
    r#"gochat_auth_requests_total{type="login"}"#,
    r#"gochat_auth_requests_total{type="register"}"#,
    r#"gochat_auth_requests_total{type="guest"}"#,
    r#"gochat_auth_failures_total{reason="invalid_password"}"#,
    "gochat_token_validation_duration_seconds_count",
    r#"gochat_sync_requests_total{type="conversations"}"#,
    r#"gochat_sync_requests_total{type="messages"}"#,
    r#"gochat_sync_requests_total{type="friends"}"#,
    r#"gochat_sync_duration_seconds_count{type="messages"}"#,
    r#"gochat_cache_operations_total{operation="hit"}"#,
    r#"gochat_cache_operations_total{operation="miss"}"#,
    r#"gochat_cache_operations_total{operation="evict"}"#,
    "world_chat_message_rate",
    "world_chat_fanout_latency_count",
    "world_chat_active_users",
    "gochat_ws_connections",
    r#"gochat_kafka_messages_total{topic="gochat.messages.upstream",direction="produce",result="ok"}"#,
    r#"gochat_kafka_messages_total{topic="gochat.messages.upstream",direction="consume",result="ok"}"#,
    r#"gochat_kafka_messages_total{topic="gochat.messages.downstream",direction="produce",result="ok"}"#,
    r#"gochat_kafka_messages_total{topic="gochat.messages.downstream",direction="consume",result="ok"}"#,
    r#"gochat_kafka_messages_total{topic="gochat.messages.persist",direction="consume",result="ok"}"#,
    r#"gochat_kafka_messages_total{topic="gochat.tasks.fanout",direction="consume",result="ok"}"#,
    "gochat_online_users",
    r#"gochat_downstream_dropped_total{reason="offline"}"#,
    r#"gochat_dlq_total{topic="gochat.messages.upstream"}"#,
    "gochat_messages_persisted_total",
    "gochat_ws_frames_received_total",
    "gochat_signals_total",
];

/// Exists without having to move: a server that keeps up is never behind.
const LAG: [&str; 2] = [
    r#"gochat_kafka_consumer_lag{topic="gochat.messages.upstream""#,
    r#"gochat_kafka_consumer_lag{topic="gochat.messages.persist""#,
];

/// The sum of every line that begins so, whatever labels come after.
fn value(page: &str, start: &str) -> Option<f64> {
    let lines = page.lines().filter(|line| line.starts_with(start));
    let values: Vec<f64> = lines
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Everything the metrics above measure, once. Gives the sockets, which count as long as they are open.
async fn live(server: &Server) -> Vec<Socket> {
    let [a, b, c, d] = server.users().await;
    let wrong = json!({"username": fresh_name(), "password": "not this one"});
    server
        .call("POST", "/auth/login", Some(wrong))
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    let name = fresh_name();
    let account = json!({"username": name, "password": PASSWORD});
    server
        .call("POST", "/auth/register", Some(account))
        .await
        .data();
    let wrong = json!({"username": name, "password": "not this one"});
    server
        .call("POST", "/auth/login", Some(wrong))
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    let guest = server.guest().await;
    let (mut sa, mut sb, sd) = (a.connect().await, b.connect().await, d.connect().await);
    a.befriend(&b).await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "one").await.data();
    sb.expect("new-message").await;
    sa.say(&chat, "two", "c-two").await;
    sa.acked("c-two").await;
    // Nobody's conversation: refused by the sequencer.
    sa.say("s_1_2", "no", "c-no").await;
    sa.expect("error").await;
    // Four members are many here: fan-out by im-task.
    let group = a.group("many", &[&b, &c, &d]).await;
    a.say(&group, "three").await.data();
    guest.say("world", "four").await.data();
    a.conversations().await;
    a.history_of(&chat, 2).await;
    a.get("/friends").await.data();
    a.get("/users/profile").await.data();
    // Gone before the acknowledgement comes.
    for n in 0..10 {
        let mut hasty = a.connect().await;
        hasty.say(&chat, "and off", &format!("c-off-{n}")).await;
        drop(hasty);
        a.say(&chat, "a moment later").await.data();
    }
    vec![sa, sb, sd]
}

/// A record that can never be a message.
async fn poison(server: &Server) {
    let record = OutRecord::new(topics::UPSTREAM, "key", b"\xff\xff no message".to_vec());
    let log = server.log().expect("an embedded server");
    log.producer().send(vec![record]).await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_contract_exists_and_moves() {
    let metrics = Metrics::install("gochat").expect("nobody else in this process");
    let Some(server) = Server::with(&[FEW_ARE_MANY]).await else {
        return;
    };
    let before = metrics.render();
    let _open = live(&server).await;
    poison(&server).await;
    let mut missing: Vec<&str> = Vec::new();
    let moved = async || {
        let page = metrics.render();
        missing = WANTED
            .into_iter()
            .filter(|name| value(&page, name).unwrap_or(0.0) <= value(&before, name).unwrap_or(0.0))
            .chain(LAG.into_iter().filter(|name| value(&page, name).is_none()))
            .collect();
        missing.is_empty().then_some(())
    };
    let waited = tokio::time::timeout(
        std::time::Duration::from_secs(14),
        eventually("every metric moves", moved),
    );
    if waited.await.is_err() {
        panic!("these never moved: {missing:#?}");
    }
    let page = metrics.render();
    for name in ["http_request_duration_seconds", "world_chat_fanout_latency"] {
        let buckets = format!("{name}_bucket{{");
        assert!(value(&page, &buckets).is_some(), "{name} has no buckets");
    }
    labels_are_bounded(&page);
    the_table_of_the_docs_is_complete(&page);
    every_metric_has_help(&page);
}

/// `# HELP` says what a metric counts.
fn every_metric_has_help(page: &str) {
    let named = |start: &'static str| {
        let lines = page
            .lines()
            .filter_map(move |line| line.strip_prefix(start));
        let names = lines.filter_map(|line| line.split(' ').next());
        names.collect::<BTreeSet<&str>>()
    };
    let helped = named("# HELP ");
    let without: Vec<_> = named("# TYPE ")
        .into_iter()
        .filter(|n| !helped.contains(n))
        .collect();
    assert!(without.is_empty(), "no help text: {without:#?}");
}

/// No id, token or name ever is a label: a path is a template, a topic of a gateway has one name.
fn labels_are_bounded(page: &str) {
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels = line
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'))
            .map_or("", |(labels, _)| labels);
        assert!(!labels.contains("single_"), "{line}");
        assert!(!labels.contains("downstream.gateway"), "{line}");
        let digits = labels.split(|c: char| !c.is_ascii_digit());
        let longest = digits.map(str::len).max().unwrap_or(0);
        assert!(longest < 8, "an id in a label: {line}");
    }
}

/// Metrics of the page that the table does not explain, and those of the contract it forgot.
fn the_table_of_the_docs_is_complete(page: &str) {
    let docs = include_str!("../../../../docs/observability.md");
    let explained =
        |name: &str| docs.contains(&format!("`{name}`")) || docs.contains(&format!("`{name}{{"));
    let on_page: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let wanted = WANTED.iter().chain(&LAG).map(|line| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        name.strip_suffix("_count").unwrap_or(name)
    });
    let unexplained: BTreeSet<&str> = on_page
        .into_iter()
        .chain(wanted)
        .filter(|name| !explained(name))
        .collect();
    assert!(
        unexplained.is_empty(),
        "not in docs/observability.md: {unexplained:#?}"
    );
}
