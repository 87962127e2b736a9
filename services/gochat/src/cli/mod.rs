//! The command line.

mod admin;
#[cfg(feature = "cluster")]
mod cluster;
mod doctor;
mod migrate;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gochat_infra::shell::{ConfigError, EXIT_SETTINGS, raise_file_limit, use_small_pages};

use crate::config::Config;
use crate::{bench, check};

const AFTER_HELP: &str = "\
Try it:
  gochat                                    start on http://127.0.0.1:8080, data in ./gochat-data
  gochat --listen 0.0.0.0:8080              be reachable from other machines (put TLS in front)
  gochat serve --dump-config                show every setting with its value
  gochat doctor                             check configuration and data
  gochat bench pipeline --rate 1000         measure a running server
  gochat check --spawn --kills 20           kill it under load and audit every message

Settings come from defaults < --config FILE < GOCHAT_* variables < flags.
GOCHAT_GATEWAY__WEBSOCKET__SESSIONS_PER_USER=1 and
--set gateway.websocket.sessions_per_user=1 mean the same.";

/// GoChat: a messaging system that loses no acknowledged message.
///
/// Without a command it serves: all four services in one process, on embedded storage.
#[derive(Debug, Parser)]
#[command(name = "gochat", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process (the default).
    Serve(serve::ServeArgs),
    /// Database migrations: status, up, down.
    Migrate(migrate::MigrateArgs),
    /// Settings in the config centre of a cluster: sync, diff, get, list.
    #[cfg(feature = "cluster")]
    Config(cluster::config::ConfigCenterArgs),
    /// Topics in Kafka: create-all, list, describe, delete, tail, groups.
    #[cfg(feature = "cluster")]
    Topic(cluster::topic::TopicArgs),
    /// Accounts, signing keys and audit records, for operators.
    Admin(admin::AdminArgs),
    /// Check configuration and data, and say what is wrong.
    Doctor(doctor::DoctorArgs),
    /// Measure a running server over real sockets; one JSON line per run.
    Bench(bench::BenchArgs),
    /// Drive load, kill the server, then audit: nothing lost, doubled, reordered.
    Check(check::CheckArgs),
}

/// Where settings come from; shared by the commands that read them.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Settings file: .yaml, .toml or .json.
    #[arg(long, value_name = "FILE", env = "GOCHAT_CONFIG")]
    config: Option<PathBuf>,
    /// Where HTTP and WebSocket listen: HOST:PORT, :PORT (every address) or PORT (this machine
    /// only) [default: 127.0.0.1:8080].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Folder that holds all data [default: ./gochat-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// debug, info, warn, error, or a filter such as info,im_logic=debug.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Set any setting; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArgs {
    /// All layers merged and validated.
    fn load(&self) -> Result<Config, ConfigError> {
        let data_dir = self.data_dir.as_ref().map(|p| p.display().to_string());
        let flags = [
            ("--listen", "gateway.listen", self.listen.clone()),
            ("--data-dir", "data_dir", data_dir),
            ("--log-level", "log.level", self.log_level.clone()),
        ];
        let flags: Vec<_> = flags
            .into_iter()
            .filter_map(|(flag, setting, text)| Some((flag, setting, text?)))
            .collect();
        Config::load_with(self.config.as_deref(), std::env::vars(), &self.set, &flags)
    }
}

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    raise_file_limit();
    use_small_pages();
    let outcome = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(args),
        Command::Migrate(args) => migrate::run(args),
        #[cfg(feature = "cluster")]
        Command::Config(args) => block_on(cluster::config::run(args)),
        #[cfg(feature = "cluster")]
        Command::Topic(args) => block_on(cluster::topic::run(args)),
        Command::Admin(args) => admin::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Bench(args) => block_on(bench::run(args)),
        Command::Check(args) => block_on(check::run(args)),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("gochat: {}", failure.message);
        ExitCode::from(failure.code)
    })
}

/// Why a command ended badly.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// A failure while running.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// A failure to reach a server: exit code 69 (`EX_UNAVAILABLE` of sysexits.h).
    pub(crate) fn unreached(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: EXIT_UNAVAILABLE,
        }
    }

    pub(crate) fn is_unreached(&self) -> bool {
        self.code == EXIT_UNAVAILABLE
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self {
            message: e.to_string(),
            code: EXIT_SETTINGS,
        }
    }
}

/// Exit code of a command whose server could not be reached.
const EXIT_UNAVAILABLE: u8 = 69;

/// What a command answers.
pub type Outcome = Result<ExitCode, Failure>;

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("can't start the runtime: {e}")))
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    runtime()?.block_on(command)
}
