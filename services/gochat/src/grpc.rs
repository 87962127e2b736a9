//! An optional gRPC port: im-logic's services with health and reflection, for back ends beside the process.
//!
//! Callers are trusted: an RPC acts for the user it names. That is why the port is off by default and must be a loopback
//! address; a cluster protects it with mutual TLS.

use gochat_infra::os::explain;
use std::net::SocketAddr;

use gochat_infra::rpc::{ServerConfig, Services, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// A bound port that does not serve yet.
pub struct GrpcPort {
    listener: TcpListener,
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
            .map_err(|e| format!("grpc_listen: {}", explain("listen on", addr, &e)))?;
        let addr = listener
            .local_addr()
            .map_err(|e| explain("ask for the address of", addr, &e))?;
        Ok(Self { listener, addr })
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
        let services = Services::new(services).reflection();
        serve(self.listener, services, ServerConfig::default(), stop)
            .await
            .map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use gochat_infra::rpc::{ChannelConfig, direct};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    #[tokio::test]
    async fn the_port_is_for_this_machine_only() {
        assert!(GrpcPort::bind("0.0.0.0:0").await.is_err());
        assert!(GrpcPort::bind("127.0.0.1:0").await.is_ok());
    }

    #[tokio::test]
    async fn health_answers_until_it_is_stopped() {
        let port = GrpcPort::bind("127.0.0.1:0").await.unwrap();
        let channel = direct(&port.addr().to_string(), ChannelConfig::new("gochat")).unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(port.run(Routes::default(), stop.clone()));
        let mut health = HealthClient::new(channel);
        let answer = health.check(HealthCheckRequest::default()).await.unwrap();
        assert_eq!(
            answer.into_inner().status,
            tonic_health::ServingStatus::Serving as i32
        );
        stop.cancel();
        served.await.unwrap().unwrap();
        assert!(health.check(HealthCheckRequest::default()).await.is_err());
    }
}
