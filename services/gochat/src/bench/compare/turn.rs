//! One run of one row with one program.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::super::Result;
use super::super::procfs;
use super::cores::Cores;
use super::program::Program;
use super::rows::Row;
use super::server::Server;

/// One row for one program.
pub(super) struct Turn<'a> {
    pub(super) row: &'a Row,
    pub(super) program: &'a Program,
    pub(super) cores: &'a Cores,
}

impl Turn<'_> {
    /// Starts the server on an empty folder, drives the load, ends the server; gives the result.
    ///
    /// # Errors
    /// The server does not start, or the load gives no result.
    pub(super) async fn run(&self) -> Result<Value> {
        let server = Server::start(self.program, self.cores).await?;
        let mut result = if self.row.load.is_empty() {
            let usage = procfs::usage(&[server.pid]);
            json!({
                "program_bytes": std::fs::metadata(&self.program.path)?.len(),
                "start_ms": server.started.as_secs_f64() * 1_000.0,
                "server": procfs::compare(usage, usage),
            })
        } else {
            self.load(&server).await?
        };
        if !self.row.rest.is_zero() {
            tokio::time::sleep(self.row.rest).await;
            let usage = procfs::usage(&[server.pid]);
            result["rested"] = procfs::compare(usage, usage);
        }
        server.stop().await;
        Ok(result)
    }

    async fn load(&self, server: &Server) -> Result<Value> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("bench")
            .args(self.row.load.split(' '))
            .args([
                "--url",
                &server.url,
                "--server-pid",
                &server.pid.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = self.cores.start_load(|| command.spawn())?;
        let output = child.wait_with_output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok());
        let Some(result) = result else {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().last().unwrap_or_default();
            return Err(format!(
                "{} gave no result with {}: {last}\n{}",
                self.row.id,
                self.program.name,
                server.words()
            )
            .into());
        };
        if result["ok"] == false {
            eprintln!("  messages were missing, doubled or out of order in this run");
        }
        if result["generator"]["behind"] == true {
            eprintln!("  the load could not keep its timetable: the figures are its own limit");
        }
        Ok(result)
    }
}
