//! im-logic as a process of a cluster: its settings, and how it is put together.

use std::process::ExitCode;
use std::sync::Arc;

use gochat_infra::rpc::{self, Services};
use gochat_infra::shell::service::{self, Process, Program, Settings, check_jwt_secret};
use gochat_infra::shell::{Failed, Stages};

use crate::{Config, Service, ServicePorts};

/// The whole of `main`.
pub fn main() -> ExitCode {
    service::main::<ImLogic>()
}

/// im-logic.
struct ImLogic;

impl Program for ImLogic {
    const NAME: &'static str = "im-logic";
    const SECTION: &'static str = "logic";
    const ABOUT: &'static str =
        "GoChat's rules: sequences messages, decides who may do what and who hears of it.";
    const VARIABLES: &'static [(&'static str, &'static str)] = &[
        ("JWT_SECRET", "logic.auth.secret"),
        ("SERVER_PORT", "server.grpc_port"),
    ];
    const SECRETS: &'static [&'static str] = &["logic.auth.secret"];
    const COMPONENTS: &'static [(&'static str, &'static str)] = &[("fanout", "logic.pipeline")];
    type Config = Config;

    fn defaults() -> Settings<Config> {
        let mut settings = Settings::<Config>::default();
        settings.shared.server.grpc_port = 9001;
        settings.shared.server.admin_port = 9092;
        settings
    }

    fn check(settings: &Settings<Config>) -> Vec<String> {
        let secret = &settings.service.auth.secret;
        let production = settings.shared.is_production();
        match check_jwt_secret("logic.auth.secret", secret, production) {
            Some(wrong) => vec![wrong],
            None => settings
                .service
                .check()
                .and(settings.service.pipeline.check())
                .err()
                .map(|e| format!("logic: {}", e.message))
                .into_iter()
                .collect(),
        }
    }

    async fn run(mut process: Process<Self>) -> Result<(), Failed> {
        let settings = process.settings.clone();
        process.serve_admin().await?;
        let (listener, addr) = process.bind_grpc().await?;
        let Some(number) = process.number().await? else {
            return Ok(());
        };
        let Some(mq) = process.log(Vec::new()).await? else {
            return Ok(());
        };
        let ports = ServicePorts {
            mq,
            repo: process.channel("im-repo", &settings.shared.rpc.repo)?,
            ids: number.ids,
            instance: Arc::from(number.id.to_string()),
            signed: None,
        };
        let bound = process
            .persist("im-logic", || {
                Service::bind(settings.service.clone(), ports.clone())
            })
            .await?;
        let Some(logic) = bound else {
            return Ok(());
        };
        let direct_max = settings.service.pipeline.direct_max_live.clone();
        let mut live = process.live.clone();
        process.background(async move {
            while live.changed().await.is_ok() {
                direct_max.set(live.borrow_and_update().service.pipeline.direct_max);
            }
        });
        let services = Services::new(logic.routes_with_admin()).reflection();
        let grpc = settings.shared.server.grpc.clone();
        let mut stages = Stages::new();
        // Calls that wait for their message to be sequenced need the workers: they go last.
        stages.add("gRPC", |stop| async move {
            rpc::serve(listener, services, grpc, stop)
                .await
                .map_err(|e| e.to_string())
        });
        stages.add("sequencing", |stop| async move {
            logic.run(stop).await.map_err(|e| e.to_string())
        });
        let instance = process.instance(format!("im-logic-{}", number.id), addr, &[]);
        tracing::info!(%addr, "gRPC is served");
        process.serve(instance, stages).await
    }
}
