//! Kafka, MySQL, Redis and etcd of one's own, through the project's script.

use gochat_infra::os::explained;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::bench::Result;

/// A set of servers in a folder of its own.
#[derive(Debug, Clone)]
pub(super) struct Infra {
    script: PathBuf,
    settings: Vec<(&'static str, String)>,
    log: PathBuf,
}

impl Infra {
    /// Installs what is missing, and starts all of them.
    pub(super) async fn start(script: &Path, folder: &Path) -> Result<Self> {
        let ports = gochat_infra::listen::free_ports(6)?;
        let names = [
            "GOCHAT_INFRA_KAFKA_PORT",
            "GOCHAT_INFRA_KAFKA_CONTROLLER_PORT",
            "GOCHAT_INFRA_MYSQL_PORT",
            "GOCHAT_INFRA_REDIS_PORT",
            "GOCHAT_INFRA_ETCD_PORT",
            "GOCHAT_INFRA_ETCD_PEER_PORT",
        ];
        let mut settings: Vec<_> = names
            .into_iter()
            .zip(ports.iter().map(u16::to_string))
            .collect();
        let dir = folder.join("infra").display().to_string();
        settings.push(("GOCHAT_INFRA_DIR", dir));
        // Quick to start rather than quick in the long run: it is killed every few seconds.
        let jvm = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1";
        settings.push(("GOCHAT_INFRA_KAFKA_JVM", jvm.to_owned()));
        // Three parts at a time may be starting on a small machine.
        settings.push(("GOCHAT_INFRA_START_TIMEOUT", "180".to_owned()));
        let infra = Self {
            script: script.to_owned(),
            settings,
            log: folder.join("infra.log"),
        };
        infra.call(&["up"]).await?;
        Ok(infra)
    }

    /// Runs one command of the script.
    pub(super) async fn call(&self, arguments: &[&str]) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(explained("write", self.log.display()))?;
        let status = self
            .command(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .await
            .map_err(self.not_run())?;
        if !status.success() {
            let command = arguments.join(" ");
            return Err(format!("infra {command}: {status}; see {}", self.log.display()).into());
        }
        Ok(())
    }

    /// What services read to find the servers.
    pub(super) async fn variables(&self) -> Result<Vec<(String, String)>> {
        let output = self.command(&["env"]).output().await;
        let output = output.map_err(self.not_run())?;
        let text = String::from_utf8(output.stdout)?;
        let pairs = text
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        Ok(pairs
            .filter(|(name, _)| !name.starts_with("GOCHAT_TEST_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Stops them without waiting for anybody to finish.
    pub(super) async fn stop(&self) {
        for name in ["kafka", "mysql", "redis", "etcd"] {
            if let Err(error) = self.call(&["kill", name]).await {
                eprintln!("{name} could not be stopped: {error}");
            }
        }
    }

    /// Explains that the script could not be run.
    fn not_run(&self) -> impl FnOnce(std::io::Error) -> std::io::Error {
        let what = "run the script that starts the servers (--infra),";
        explained(what, self.script.display().to_string())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command
            .args(arguments)
            .envs(self.settings.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null());
        command
    }
}
