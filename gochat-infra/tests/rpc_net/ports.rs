//! What a port serves, and where.

use axum::Router;
use axum::routing::get;
use gochat_infra::rpc::{ServeError, ServerConfig, Services, direct, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::server::{Server, config, who};

async fn http1(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn grpc_and_http1_share_a_port() {
    let router = Router::new().route("/health", get(|| async { "fine" }));
    let a = Server::start_with("a", ServerConfig::default(), |s| s.http(router));
    let answer = http1(&a, "/health").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"),
        "{answer}"
    );
    assert!(http1(&a, "/other").await.starts_with("HTTP/1.1 404"));
    let channel = direct(&a.addr.to_string(), config()).unwrap();
    assert_eq!(who(&channel).await.unwrap(), "a");
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let a = Server::start_with("a", ServerConfig::default(), Services::reflection);
    let channel = direct(&a.addr.to_string(), config()).unwrap();
    let mut health = HealthClient::new(channel.clone());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(
        answer.into_inner().status,
        tonic_health::ServingStatus::Serving as i32
    );
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let asked = reflection.server_reflection_info(tokio_stream::iter([list]));
    let answer = asked
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert!(format!("{answer:?}").contains("im.logic.v1.MessageService"));
}

#[tokio::test]
async fn an_open_port_without_mutual_tls_is_refused() {
    let open = || async { TcpListener::bind("0.0.0.0:0").await.unwrap() };
    let config = ServerConfig::default();
    let refused = serve(
        open().await,
        Routes::default(),
        config,
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(refused, Err(ServeError::Exposed(_))));

    let allowed = ServerConfig {
        insecure: true,
        ..ServerConfig::default()
    };
    let stop = CancellationToken::new();
    stop.cancel();
    serve(open().await, Routes::default(), allowed, stop)
        .await
        .unwrap();
}
