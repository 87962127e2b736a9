//! `gochat doctor`: is this configuration usable, is this data sound?

use gochat_infra::os::explain;
use std::net::TcpListener;
use std::process::ExitCode;

use clap::Args;
use gochat_infra::embedded::log::EmbeddedLog;
use gochat_infra::embedded::sqlite::SqliteDatabase;
use gochat_infra::port::db::{Database as _, Migrator as _};

use super::{ConfigArgs, Outcome, block_on};
use crate::config::{Config, load_or_create};

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints one line per finding; exit code 1 when something is wrong.
pub(super) fn run(args: DoctorArgs) -> Outcome {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(e) => {
            println!("BAD  settings: {e}");
            return Ok(ExitCode::FAILURE);
        }
    };
    block_on(async {
        let mut report = Report { bad: 0 };
        report.note("settings", Ok("valid".to_owned()));
        for ignored in &config.warnings {
            report.note("environment", Ok(ignored.clone()));
        }
        report.note("listen address", listen(&config));
        report.note("open files", open_files());
        report.note("memory", memory(&config));
        if config.data_dir.exists() {
            let secret = load_or_create(&config.data_dir, std::env::var("JWT_SECRET").ok());
            report.note(
                "token secret",
                secret
                    .map(|_| "there".to_owned())
                    .map_err(|e| e.to_string()),
            );
            report.note("log", log(&config));
            report.note("database", database(&config).await);
        } else {
            let text = format!(
                "{} does not exist yet; the first start makes it",
                config.data_dir.display()
            );
            report.note("data folder", Ok(text));
        }
        Ok(if report.bad == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

struct Report {
    bad: u32,
}

impl Report {
    fn note(&mut self, what: &str, finding: Result<String, String>) {
        match finding {
            Ok(text) => println!("ok   {what}: {text}"),
            Err(text) => {
                self.bad += 1;
                println!("BAD  {what}: {text}");
            }
        }
    }
}

fn listen(config: &Config) -> Result<String, String> {
    let addr = config.gateway.listen;
    match TcpListener::bind(addr) {
        Ok(_) if addr.ip().is_loopback() => Ok(format!("{addr} is free (this machine only)")),
        Ok(_) => Ok(format!(
            "{addr} is free; reachable from outside, so put TLS in front"
        )),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            Ok(format!("{addr} is in use; perhaps gochat runs"))
        }
        Err(e) => Err(explain("listen on", addr, &e)),
    }
}

/// Each socket is a file; the usual limit of 1,024 is reached by a thousand users.
fn open_files() -> Result<String, String> {
    let limits = std::fs::read_to_string("/proc/self/limits")
        .map_err(|e| explain("read", "/proc/self/limits", &e))?;
    let line = limits
        .lines()
        .find(|l| l.starts_with("Max open files"))
        .unwrap_or_default();
    match line
        .split_whitespace()
        .nth(3)
        .and_then(|n| n.parse::<u64>().ok())
    {
        Some(n) if n < 4_096 => Err(format!(
            "only {n} may be open at once; raise it with `ulimit -n`"
        )),
        Some(n) => Ok(format!("up to {n}")),
        None => Ok("no limit known".to_owned()),
    }
}

/// The budget, and what it leaves to each part.
fn memory(config: &Config) -> Result<String, String> {
    let bounds = config.memory_bounds()?;
    let mib = |bytes: u64| bytes >> 20;
    let parts = bounds
        .parts()
        .map(|(part, bytes)| format!("{part} {} MiB", mib(bytes)))
        .join(", ");
    let budget = mib(bounds.budget);
    let source = match config.memory.budget {
        Some(_) => "memory.budget",
        None => "a quarter of this machine",
    };
    Ok(format!("{budget} MiB ({source}): at most {parts}"))
}

fn log(config: &Config) -> Result<String, String> {
    match EmbeddedLog::open(config.journal()) {
        Ok(_) => Ok("opens, every record on disk has its checksum".to_owned()),
        Err(e) if e.kind == gochat_infra::port::mq::MqErrorKind::Locked => {
            Ok("in use by a running gochat; stop it to check the files".to_owned())
        }
        Err(e) => Err(e.to_string()),
    }
}

async fn database(config: &Config) -> Result<String, String> {
    let db = SqliteDatabase::open(config.database()).map_err(|e| e.to_string())?;
    db.ping().await.map_err(|e| e.to_string())?;
    let all = db.migration_status().await.map_err(|e| e.to_string())?;
    if let Some(changed) = all.iter().find(|m| !m.checksum_matches) {
        return Err(format!(
            "migration {} was applied with another text",
            changed.number
        ));
    }
    let waiting = all.iter().filter(|m| m.applied_at.is_none()).count();
    db.close().await.map_err(|e| e.to_string())?;
    Ok(format!(
        "answers, {} migrations applied, {waiting} waiting",
        all.len() - waiting
    ))
}
