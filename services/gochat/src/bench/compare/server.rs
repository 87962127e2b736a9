//! The server of one turn: a process of its own on an empty folder.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gochat_infra::os::explained;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::super::Result;
use super::super::api::Api;
use super::cores::Cores;
use super::program::Program;

/// Longest start.
const START: Duration = Duration::from_secs(60);
/// Longest stop; then it is killed.
const STOP: Duration = Duration::from_secs(20);
/// Limits that a load of one address would meet. Every program since the first has these settings.
const UNLIMITED: [&str; 3] = [
    "gateway.rates.disabled=true",
    "gateway.websocket.sessions_per_user=100000",
    "repo.sessions_per_user=100000",
];

/// A server that runs; killed when dropped.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) pid: u32,
    /// From the start of the process to its first answer.
    pub(super) started: Duration,
    child: Child,
    /// Removed when dropped.
    folder: TempDir,
}

impl Server {
    /// Starts a program and waits until it answers.
    ///
    /// # Errors
    /// Says where the program's own words are, when it ends or does not answer.
    pub(super) async fn start(program: &Program, cores: &Cores) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("gochat-compare-")
            .tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(explained("find a free port on", "127.0.0.1"))?
            .to_string();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(&program.path);
        command
            .args(["--listen", &address, "--log-level", "warn", "--data-dir"])
            .arg(folder.path().join("data"));
        for setting in UNLIMITED
            .into_iter()
            .chain(program.settings.iter().map(String::as_str))
        {
            command.args(["--set", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let began = Instant::now();
        let child = cores.start_server(|| command.spawn())?;
        let mut server = Self {
            url: format!("http://{address}"),
            pid: child.id().ok_or("the server has no process")?,
            started: Duration::ZERO,
            child,
            folder,
        };
        server.wait_ready(began).await?;
        server.started = began.elapsed();
        Ok(server)
    }

    async fn wait_ready(&mut self, began: Instant) -> Result<()> {
        let api = Api::new(&self.url);
        while began.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}:\n{}", self.words()).into());
            }
            if api.is_healthy().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!(
            "the server did not answer within a minute:\n{}",
            self.words()
        )
        .into())
    }

    /// The end of what the server has written.
    pub(super) fn words(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Lets it end in order, so that the next one doesn't share the machine with it.
    pub(super) async fn stop(mut self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !asked || tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
