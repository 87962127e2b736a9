//! im-task as a process of a cluster: its settings, and how it is put together.

use std::process::ExitCode;
use std::sync::Arc;

use gochat_infra::rpc::{Channel, Directory};
use gochat_infra::shell::service::{self, Process, Program, Settings};
use gochat_infra::shell::{Failed, Need, Probe, Stages};
use uuid::Uuid;

use crate::{Config, Coord, Ports, Pushers, Repos, Service};

/// The whole of `main`.
pub fn main() -> ExitCode {
    service::main::<ImTask>()
}

/// im-task.
struct ImTask;

impl Program for ImTask {
    const NAME: &'static str = "im-task";
    const SECTION: &'static str = "task";
    const ABOUT: &'static str =
        "GoChat's work after the acknowledgement: history, large groups, signals, clean-up.";
    type Config = Config;

    fn defaults() -> Settings<Config> {
        let mut settings = Settings::<Config>::default();
        settings.shared.server.admin_port = 9094;
        // A name of its own for every run, see `run`.
        settings.service.instance_id = String::new();
        settings
    }

    fn check(_settings: &Settings<Config>) -> Vec<String> {
        Vec::new()
    }

    async fn run(mut process: Process<Self>) -> Result<(), Failed> {
        let settings = process.settings.clone();
        let addr = process.serve_admin().await?;
        let mut config = settings.service.clone();
        if config.instance_id.is_empty() {
            // It makes no ids and owns no topic, so it needs no number, and starts without etcd.
            config.instance_id = format!("im-task-{}", Uuid::now_v7().simple());
        }
        let id = config.instance_id.clone();
        let Some(mq) = process.log(Vec::new()).await? else {
            return Ok(());
        };
        let ports = Ports {
            mq,
            repo: process.channel("im-repo", &settings.shared.rpc.repo)?,
            repos: Some(Arc::new(Instances(process.directory("im-repo", None)?))),
            pushers: Arc::new(Registered(process.directory("im-gateway", None)?)),
            coord: Some(Coord {
                registry: process.coord(),
                locks: process.coord(),
                config: process.coord(),
            }),
        };
        let bound = process
            .persist("im-task", || Service::bind(config.clone(), ports.clone()))
            .await?;
        let Some(task) = bound else {
            return Ok(());
        };
        let ready = task.readiness();
        let work = process
            .health
            .depend("work", Need::Required(std::time::Duration::ZERO));
        let ask = move || {
            let goes_on = ready();
            async move {
                goes_on
                    .then_some(())
                    .ok_or_else(|| "a worker can't go on".to_owned())
            }
        };
        let stop = process.shutdown.clone();
        process.background(async move { Probe::default().run(work, stop, ask).await });
        let mut stages = Stages::new();
        stages.add("workers", |stop| async move {
            task.run(stop).await.map_err(|e| e.to_string())
        });
        let instance = process.instance(id, addr, &[]);
        process.serve(instance, stages).await
    }
}

/// The gateways in the registry.
struct Registered(Directory);

impl Pushers for Registered {
    fn gateway(&self, gateway_id: &str) -> Option<Channel> {
        self.0.channel(gateway_id)
    }

    fn any(&self) -> Option<Channel> {
        self.0.any()
    }
}

/// The instances of im-repo in the registry.
struct Instances(Directory);

impl Repos for Instances {
    fn all(&self) -> Vec<(Arc<str>, Channel)> {
        let way = |name: Arc<str>| Some((name.clone(), self.0.channel(&name)?));
        self.0.names().into_iter().filter_map(way).collect()
    }
}
