//! A server of the checker's own, killed without warning.

use gochat_infra::listen::free_ports;
use gochat_infra::os::explained;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::process::{Child, Command};

use super::load::Control;
use super::sessions::TOKENS_LIVE_S;
use crate::bench::Result;
use crate::bench::api::Api;

/// How long a start may take.
const START: Duration = Duration::from_secs(60);

pub(super) struct Server {
    pub(super) url: String,
    pub(super) kills: u32,
    address: String,
    folder: PathBuf,
    settings: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts a server with an empty folder on a free port and waits until it answers.
    pub(super) async fn start(settings: &[String]) -> Result<Self> {
        let ports = free_ports(1).map_err(explained("find a free port on", "127.0.0.1"))?;
        let address = format!("127.0.0.1:{}", ports[0]);
        let folder = std::env::temp_dir().join(format!("gochat-check-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).map_err(explained("make", folder.display()))?;
        let child = launch(&address, &folder, settings)?;
        let url = format!("http://{address}");
        let settings = settings.to_vec();
        let mut server = Self {
            url,
            kills: 0,
            address,
            folder,
            settings,
            child,
        };
        server.wait_ready().await?;
        Ok(server)
    }

    /// Kills it and starts it again, so many times, at moments nobody can foresee.
    pub(super) async fn kill_at_random(
        &mut self,
        kills: u32,
        seed: u64,
        control: &Control,
    ) -> Result<()> {
        let mut random = StdRng::seed_from_u64(seed);
        for n in 1..=kills {
            let life = Duration::from_millis(random.random_range(50..2500));
            tokio::time::sleep(life).await;
            // SIGKILL: no handler runs, nothing is flushed.
            self.child.kill().await?;
            self.child = launch(&self.address, &self.folder, &self.settings)?;
            let started = Instant::now();
            self.wait_ready().await?;
            self.kills = n;
            eprintln!(
                "kill {n} of {kills} after {} ms; back in {} ms; {} acknowledged",
                life.as_millis(),
                started.elapsed().as_millis(),
                control.acknowledged.load(Ordering::Relaxed),
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// Ends it and removes its folder; that of a run that failed stays.
    pub(super) async fn stop(mut self, is_clean: bool) {
        let _ = self.child.kill().await;
        if is_clean {
            let _ = std::fs::remove_dir_all(&self.folder);
        } else {
            eprintln!("data and logs are in {}", self.folder.display());
        }
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let api = Api::new(&self.url);
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "the server ended with {status}; see {}",
                    self.folder.display()
                )
                .into());
            }
            if api.is_healthy().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the server did not start within a minute".into())
    }
}

/// Bounds of the fan-out with which the groups of the load, some twelve members each, take all
/// ways: small ones are looked up, most are served by lists of members, the largest are paged.
pub(super) const WAYS_OF_FANOUT: [&str; 2] = [
    "logic.pipeline.fanout_members_from=3",
    "logic.pipeline.direct_max=13",
];

fn launch(address: &str, folder: &std::path::Path, settings: &[String]) -> Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("check.log"))
        .map_err(explained("write a log in", folder.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["serve", "--listen", address, "--data-dir"])
        .arg(folder.join("data"));
    // The load is far above what a person may send.
    command.args(["--set", "gateway.rates.disabled=true"]);
    let life = format!("logic.auth.access_ttl_s={TOKENS_LIVE_S}");
    let own = std::iter::once(life).chain(WAYS_OF_FANOUT.map(str::to_owned));
    for setting in own.chain(settings.iter().cloned()) {
        command.args(["--set", &setting]);
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(explained("start", "this program as a server"))?;
    Ok(child)
}
