//! An optional gRPC port: im-logic's services with health and reflection, for back ends beside the process.
//!
//! Callers are trusted: an RPC acts for the user it names. That is why the port is off by default and must be a loopback
//! address; a cluster protects it with mutual TLS.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::{Server, TcpIncoming};

/// Largest request, as in the contract.
const MAX_CONCURRENT_STREAMS: u32 = 1_000;

/// A bound port that does not serve yet.
pub struct GrpcPort {
    incoming: TcpIncoming,
    addr: SocketAddr,
}

impl GrpcPort {
    /// Binds a loopback address.
    ///
    /// # Errors
    /// An address that is not loopback, taken, or malformed.
    pub async fn bind(listen: &str) -> Result<Self, String> {
        let addr: SocketAddr = listen
            .parse()
            .map_err(|_| format!("grpc_listen: {listen} is not ADDR:PORT"))?;
        if !addr.ip().is_loopback() {
            return Err(format!(
                "grpc_listen: {addr} is not a loopback address; callers of this port are trusted"
            ));
        }
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|e| format!("grpc_listen: {addr}: {e}"))?;
        let addr = listener.local_addr().map_err(|e| e.to_string())?;
        Ok(Self {
            incoming: TcpIncoming::from(listener).with_nodelay(Some(true)),
            addr,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When serving fails for good.
    pub async fn run(self, services: Routes, stop: CancellationToken) -> Result<(), String> {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(gochat_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|e| format!("reflection: {e}"))?;
        Server::builder()
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .add_routes(services.add_service(health).add_service(reflection))
            .serve_with_incoming_shutdown(self.incoming, stop.cancelled())
            .await
            .map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_port_is_for_this_machine_only() {
        assert!(GrpcPort::bind("0.0.0.0:0").await.is_err());
        assert!(GrpcPort::bind("127.0.0.1:0").await.is_ok());
    }

    #[tokio::test]
    async fn health_and_reflection_answer() {
        let port = GrpcPort::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", port.addr());
        let stop = CancellationToken::new();
        let served = tokio::spawn(port.run(Routes::default(), stop.clone()));
        let channel = tonic::transport::Endpoint::from_shared(url)
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
        let answer = health
            .check(tonic_health::pb::HealthCheckRequest::default())
            .await
            .unwrap();
        assert_eq!(
            answer.into_inner().status,
            tonic_health::ServingStatus::Serving as i32
        );
        let mut reflection =
            tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
                channel,
            );
        let list = tonic_reflection::pb::v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(
                tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(
                    String::new(),
                ),
            ),
        };
        let answers = reflection
            .server_reflection_info(tokio_stream::iter([list]))
            .await
            .unwrap();
        let first = answers.into_inner().message().await.unwrap().unwrap();
        assert!(format!("{first:?}").contains("im.logic.v1.MessageService"));
        stop.cancel();
        served.await.unwrap().unwrap();
    }
}
