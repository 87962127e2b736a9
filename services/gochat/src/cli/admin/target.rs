//! Whom `gochat admin` talks to.

use std::io;
use std::path::PathBuf;

use clap::Args;
use gochat_infra::rpc::{Channel, ChannelConfig, ClientTls, direct, over_unix};
use gochat_infra::shell::Failed;

use super::Failure;
use crate::admin;
use crate::config::Config;
use crate::embedded::{self, Running};

/// An im-logic of a cluster.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LogicArgs {
    /// Internal gRPC address of an im-logic; without it the server of the data folder is meant.
    #[arg(
        long,
        global = true,
        value_name = "ADDR:PORT",
        env = "GOCHAT_ADMIN_LOGIC"
    )]
    logic: Option<String>,
    /// Certificate authority that im-logic's certificate is checked against; switches TLS on.
    #[arg(long, global = true, value_name = "FILE", requires = "logic")]
    ca: Option<PathBuf>,
    /// Certificate that this command shows to im-logic (mutual TLS).
    #[arg(long, global = true, value_name = "FILE", requires = "ca")]
    cert: Option<PathBuf>,
    /// Private key of --cert.
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Name in im-logic's certificate [default: the host of --logic].
    #[arg(long, global = true, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
}

impl LogicArgs {
    pub(super) fn is_given(&self) -> bool {
        self.logic.is_some()
    }

    /// Says where the command tried to reach an im-logic and what may keep the two apart.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match (&self.logic, &self.ca) {
            (Some(address), None) => Failure::unreached(format!(
                "--logic {address}: {failure}\nIf that im-logic asks for TLS, name --ca, --cert and --key."
            )),
            (Some(address), Some(_)) => Failure::unreached(format!(
                "--logic {address}: {failure}\nIf it runs, look at --ca, --cert, --key and --server-name: \
                 it may ask for a certificate of another authority, or for none."
            )),
            (None, _) => failure,
        }
    }
}

/// A server that is being administered.
pub(super) enum Target {
    /// Somebody else's process.
    Remote(Channel),
    /// This process, on a data folder that no server uses.
    Own(Box<Running>),
}

impl Target {
    /// Reaches the server that the arguments mean.
    pub(super) async fn reach(args: &LogicArgs, config: Option<Config>) -> Result<Self, Failure> {
        match (&args.logic, config) {
            (Some(address), _) => cluster(address, args).map(Self::Remote),
            (None, Some(config)) => of_folder(config).await,
            (None, None) => Err(Failure::new("neither --logic nor a data folder is given")),
        }
    }

    pub(super) fn channel(&self) -> Channel {
        match self {
            Self::Remote(channel) => channel.clone(),
            Self::Own(running) => running.admin(),
        }
    }

    /// Stops what was started for the command.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        match self {
            Self::Remote(_) => Ok(()),
            Self::Own(running) => running.stop().await.map_err(failed),
        }
    }
}

fn failed(error: Failed) -> Failure {
    Failure::new(error.to_string())
}

fn cluster(address: &str, args: &LogicArgs) -> Result<Channel, Failure> {
    let tls = args.ca.as_ref().map(|ca| ClientTls {
        ca_file: ca.clone(),
        cert_file: args.cert.clone(),
        key_file: args.key.clone(),
        server_name: args.server_name.clone(),
    });
    let config = ChannelConfig {
        tls,
        wait_ms: 5_000,
        ..ChannelConfig::new("im-logic")
    };
    direct(address, config).map_err(|e| Failure::new(format!("--logic {address}: {}", e.message)))
}

async fn of_folder(mut config: Config) -> Result<Target, Failure> {
    let socket = config.data_dir.join(admin::SOCKET);
    match over_unix(&socket).await {
        Ok(channel) => return Ok(Target::Remote(channel)),
        Err(error) => tracing::debug!(%error, "no server runs on this folder"),
    }
    let database = config.data_dir.join("gochat.db");
    if let Err(error) = std::fs::metadata(&database) {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no data of GoChat; name the folder with --data-dir"
            }
            _ => "the data folder can't be read",
        };
        return Err(Failure::new(format!(
            "{}: {hint} ({error})",
            database.display()
        )));
    }
    // The whole system, because a change of a group passes its sequencer; reached by nobody else.
    config.gateway.listen = "127.0.0.1:0".parse().unwrap_or(config.gateway.listen);
    config.gateway.tls = Default::default();
    config.grpc_listen = None;
    let running = embedded::start(config).await.map_err(|e| {
        Failure::new(format!(
            "{e}\nIf a server runs on this folder, it does not answer on {}.",
            socket.display()
        ))
    })?;
    Ok(Target::Own(Box::new(running)))
}

/// The user of the operating system, for the audit record.
pub(super) fn os_user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}
