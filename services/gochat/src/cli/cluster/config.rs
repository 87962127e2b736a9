//! `gochat config sync|diff|get|list`: files of settings, pushed to the config centre.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gochat_core::error::Error;
use gochat_infra::cluster::etcd::{EtcdConfig, EtcdCoord};
use gochat_infra::port::coord::ConfigCenter as _;

use super::files::{self, Scope};
use super::{confirmed, settings};
use crate::cli::{Failure, Outcome};

/// Keys written in one transaction; etcd takes 128 unless it is told otherwise.
const BATCH: usize = 100;

/// Flags of `config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigCenterArgs {
    /// Members of etcd.
    #[arg(
        long,
        global = true,
        env = "COORD_ETCD_ENDPOINTS",
        default_value = "localhost:2379"
    )]
    endpoints: String,
    /// User, where etcd asks for one.
    #[arg(long, global = true, env = "COORD_ETCD_USERNAME")]
    username: Option<String>,
    /// The user's password; better given as COORD_ETCD_PASSWORD, which nobody else on the machine sees.
    #[arg(
        long,
        global = true,
        env = "COORD_ETCD_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    /// Seconds until etcd must have answered.
    #[arg(long, global = true, default_value_t = 10)]
    timeout: u64,
    #[command(subcommand)]
    action: Action,
}

/// Which files.
#[derive(Debug, Clone, Args)]
struct Files {
    /// Environment, such as dev or prod; all without it.
    env: Option<String>,
    /// Only this service (`global` for all of them).
    service: Option<String>,
    /// Only this component.
    component: Option<String>,
    /// Folder that holds {env}/{service}/{component}.json.
    #[arg(long, short = 'c', default_value = "deploy/config")]
    config_path: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the files to the config centre. Running services follow at once.
    Sync {
        #[command(flatten)]
        files: Files,
        /// Only say what would be written.
        #[arg(long)]
        dry_run: bool,
        /// Don't ask.
        #[arg(long)]
        force: bool,
    },
    /// Compare files and config centre; exit code 1 when they differ.
    Diff {
        #[command(flatten)]
        files: Files,
    },
    /// Print one value.
    Get {
        /// Such as /config/dev/im-logic/fanout.
        key: String,
    },
    /// Print keys with their versions.
    List {
        /// What they begin with.
        #[arg(default_value = "/config/")]
        prefix: String,
    },
}

/// Runs one action.
pub(in crate::cli) async fn run(args: ConfigCenterArgs) -> Outcome {
    match &args.action {
        Action::Sync {
            files,
            dry_run,
            force,
        } => sync(&args, files, *dry_run, *force).await,
        Action::Diff { files } => diff(&args, files).await,
        Action::Get { key } => match connect(&args).await?.get(key).await.map_err(failed)? {
            Some(stored) => {
                println!("{}", stored.value);
                Ok(ExitCode::SUCCESS)
            }
            None => Err(Failure::new(format!("{key} is not set"))),
        },
        Action::List { prefix } => {
            for (key, stored) in connect(&args)
                .await?
                .list(prefix)
                .await
                .map_err(failed)?
                .iter()
            {
                println!("{:>10}  {key}", stored.version);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failed(error: Error) -> Failure {
    Failure::new(error.to_string())
}

async fn connect(args: &ConfigCenterArgs) -> Result<EtcdCoord, Failure> {
    let mut config: EtcdConfig = settings("coord.etcd")?;
    config.endpoints = args
        .endpoints
        .split(',')
        .map(|e| e.trim().to_owned())
        .collect();
    config.username = args.username.clone().or(config.username);
    config.password = args.password.clone().or(config.password);
    config.connect_wait_ms = args.timeout.saturating_mul(1_000);
    config.request_timeout_ms = config.connect_wait_ms;
    EtcdCoord::connect(config).await.map_err(failed)
}

/// Keys and values of files, and which were meant.
type Read = (Scope, BTreeMap<String, String>);

/// The files that are meant; `None` when there are none.
fn read(files: &Files) -> Result<Option<Read>, Failure> {
    let scope = Scope {
        env: files.env.clone(),
        service: files.service.clone(),
        component: files.component.clone(),
    };
    let values = files::read(&files.config_path, &scope).map_err(|wrong| {
        Failure::new(format!(
            "nothing was written:\n  - {}",
            wrong.join("\n  - ")
        ))
    })?;
    if values.is_empty() {
        println!("no settings found below {}", files.config_path.display());
        return Ok(None);
    }
    Ok(Some((scope, values)))
}

async fn sync(args: &ConfigCenterArgs, files: &Files, dry_run: bool, force: bool) -> Outcome {
    let Some((_, values)) = read(files)? else {
        return Ok(ExitCode::SUCCESS);
    };
    summarise(&values);
    if dry_run {
        println!("dry run: nothing was written");
        return Ok(ExitCode::SUCCESS);
    }
    if !force
        && !confirmed(&format!(
            "Write {} keys to {}?",
            values.len(),
            args.endpoints
        ))?
    {
        return Err(Failure::new("nothing was written"));
    }
    let coord = connect(args).await?;
    let values: Vec<(String, String)> = values.into_iter().collect();
    let mut written = 0;
    for batch in values.chunks(BATCH) {
        coord.set_all(batch).await.map_err(|error| {
            Failure::new(format!(
                "{error} ({written} of {} keys are written)",
                values.len()
            ))
        })?;
        written += batch.len();
    }
    println!("{written} keys written");
    Ok(ExitCode::SUCCESS)
}

/// Keys by environment and service.
fn summarise(values: &BTreeMap<String, String>) {
    let mut before = None;
    for key in values.keys() {
        let mut parts = key.trim_start_matches("/config/").splitn(3, '/');
        let group = (parts.next(), parts.next());
        if before != Some(group) {
            println!(
                "{}/{}",
                group.0.unwrap_or_default(),
                group.1.unwrap_or_default()
            );
            before = Some(group);
        }
        println!("  {}", parts.next().unwrap_or_default());
    }
}

async fn diff(args: &ConfigCenterArgs, files: &Files) -> Outcome {
    let Some((scope, values)) = read(files)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let stored = connect(args)
        .await?
        .list(&scope.prefix())
        .await
        .map_err(failed)?;
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let mut differ = 0;
    let mut say = |what: &str, key: &str| {
        differ += 1;
        println!("{what:<8} {key}");
    };
    for (key, text) in &values {
        match stored.get(key) {
            None => say("missing", key),
            Some(there) if parsed(&there.value) != parsed(text) => say("changed", key),
            Some(_) => {}
        }
    }
    let all = scope.component.is_none();
    for key in stored
        .keys()
        .filter(|key| all && !values.contains_key(*key))
    {
        say("no file", key);
    }
    if differ == 0 {
        println!("{} keys, no difference", values.len());
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
