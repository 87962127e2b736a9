//! im-gateway as a process of a cluster: its settings, and how it is put together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::rpc::{self, Channel, Directory, Services};
use gochat_infra::shell::service::{self, Process, Program, Settings, check_jwt_secret};
use gochat_infra::shell::{Failed, Stages};
use gochat_infra::token::Algorithm;
use gochat_infra::topics;

use crate::config::RateMode;
use crate::{BindError, Config, Gateway, Peers, Ports};

/// After this long without a call another gateway is let go: each calls few of the others, and holding on to all would
/// cost them the square of their number.
const PEER_IDLE: Duration = Duration::from_secs(60);

/// The whole of `main`.
pub fn main() -> ExitCode {
    service::main::<ImGateway>()
}

/// im-gateway.
struct ImGateway;

impl Program for ImGateway {
    const NAME: &'static str = "im-gateway";
    const SECTION: &'static str = "gateway";
    const ABOUT: &'static str = "GoChat's edge: HTTP and WebSocket for users.";
    const VARIABLES: &'static [(&'static str, &'static str)] = &[
        ("JWT_SECRET", "gateway.auth.secret"),
        ("GATEWAY_ID", "gateway.gateway_id"),
        ("GATEWAY_LISTEN", "gateway.listen"),
    ];
    const SECRETS: &'static [&'static str] = &["gateway.auth.secret"];
    const RULES: &'static [(&'static str, &'static str)] = &[
        ("api_default", "gateway.rates.http"),
        ("login", "gateway.rates.login"),
        ("register", "gateway.rates.register"),
        ("local_machine_qps", "gateway.rates.instance"),
        ("user_send_message", "gateway.rates.send"),
        ("world_send_message", "gateway.rates.world_send"),
    ];
    type Config = Config;

    fn defaults() -> Settings<Config> {
        let mut settings = Settings::<Config>::default();
        settings.shared.server.grpc_port = 9004;
        settings.shared.server.admin_port = 9093;
        settings.service.listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
        // `gateway-{number}`, see `run`.
        settings.service.gateway_id = String::new();
        // One budget per address, however many gateways there are.
        settings.service.rates.mode = RateMode::Distributed;
        // Leaves the end of the process's ten seconds to what comes after the sockets.
        settings.service.drain_timeout_ms = 6_000;
        settings
    }

    /// `SERVER_PORT` is the port users connect to.
    fn derived(vars: &[(String, String)]) -> Vec<(&'static str, &'static str, String)> {
        let port = vars
            .iter()
            .find(|(n, text)| n == "SERVER_PORT" && !text.is_empty());
        let listen =
            port.map(|(_, port)| ("SERVER_PORT", "gateway.listen", format!("0.0.0.0:{port}")));
        listen.into_iter().collect()
    }

    fn check(settings: &Settings<Config>) -> Vec<String> {
        let auth = &settings.service.auth;
        let production = settings.shared.is_production();
        match auth.algorithm {
            // Public keys come from im-logic; a gateway needs no secret.
            Algorithm::EdDsa => Vec::new(),
            Algorithm::Hs256 => check_jwt_secret("gateway.auth.secret", &auth.secret, production)
                .into_iter()
                .collect(),
        }
    }

    async fn run(mut process: Process<Self>) -> Result<(), Failed> {
        let settings = process.settings.clone();
        process.serve_admin().await?;
        let (listener, addr) = process.bind_grpc().await?;
        let mut config = settings.service.clone();
        if config.gateway_id.is_empty() {
            let Some(number) = process.number().await? else {
                return Ok(());
            };
            config.gateway_id = format!("gateway-{}", number.id);
        }
        let id = config.gateway_id.clone();
        let Some(mq) = process.log(vec![topics::downstream_spec(&id)]).await? else {
            return Ok(());
        };
        let ports = Ports {
            mq,
            logic: process.channel("im-logic", &settings.shared.rpc.logic)?,
            repo: process.channel("im-repo", &settings.shared.rpc.repo)?,
            peers: Arc::new(Registered(
                process.directory("im-gateway", Some(PEER_IDLE))?,
            )),
            first_conn_id: process.first_conn_id(&id).await,
            known_tokens: None,
        };
        let bound = process
            .persist("im-gateway", || bind(config.clone(), ports.clone()))
            .await?;
        let Some(gateway) = bound else {
            return Ok(());
        };
        let http = gateway.local_addr();
        let around = process.health.clone();
        gateway.ready_when(move || around.is_ready());
        let (set_rates, mut live) = (gateway.rates(), process.live.clone());
        process.background(async move {
            while live.changed().await.is_ok() {
                set_rates(live.borrow_and_update().service.rates.clone());
            }
        });
        let services = Services::new(gateway.pusher_routes()).reflection();
        let grpc = settings.shared.server.grpc.clone();
        let mut stages = Stages::new();
        // Pushes go on while sockets are closed.
        stages.add("sockets", |stop| async move {
            gateway.run(stop).await;
            Ok(())
        });
        stages.add("gRPC", |stop| async move {
            rpc::serve(listener, services, grpc, stop)
                .await
                .map_err(|e| e.to_string())
        });
        let metadata = [
            ("instance_id", id.clone()),
            ("http_port", http.port().to_string()),
        ];
        let instance = process.instance(id, addr, &metadata);
        tracing::info!(%http, grpc = %addr, "HTTP, WebSocket and gRPC are served");
        process.serve(instance, stages).await
    }
}

/// Binds; only an absent log is worth another try.
async fn bind(config: Config, ports: Ports) -> Result<Gateway, Error> {
    Gateway::bind(config, ports).await.map_err(|error| {
        let text = error.to_string();
        let code = match error {
            BindError::Log(error) => Error::from(error).code,
            BindError::Listen(..) | BindError::Certificate(_) => ErrorCode::Internal,
        };
        Error::new(code, text)
    })
}

/// The other gateways in the registry.
struct Registered(Directory);

impl Peers for Registered {
    fn channel(&self, gateway_id: &str) -> Option<Channel> {
        self.0.channel(gateway_id)
    }
}
