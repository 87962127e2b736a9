//! One service process and its supervisor, which starts it again as an operator's would.

use gochat_infra::os::explained;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::faults::Action;
use crate::bench::Result;

/// Pause before a process that ended by itself is started again.
const AGAIN: Duration = Duration::from_millis(500);
/// Longest orderly stop.
const STOP: Duration = Duration::from_secs(15);

/// How to start a process.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) variables: Vec<(String, String)>,
    pub(super) log: PathBuf,
}

/// A supervised process.
pub(super) struct Process {
    orders: mpsc::Sender<(Action, oneshot::Sender<()>)>,
    supervisor: JoinHandle<Result<ExitStatus>>,
    /// Ends nobody asked for.
    pub(super) own_ends: Arc<AtomicU32>,
}

impl Process {
    /// Starts it.
    pub(super) fn start(recipe: Recipe) -> Result<Self> {
        let (orders, taken) = mpsc::channel(1);
        let own_ends = Arc::new(AtomicU32::new(0));
        let child = launch(&recipe)?;
        let supervisor = tokio::spawn(supervise(recipe, child, taken, own_ends.clone()));
        Ok(Self {
            orders,
            supervisor,
            own_ends,
        })
    }

    /// Strikes it, and returns when it runs again.
    pub(super) async fn strike(&self, action: Action) {
        let (done, wait) = oneshot::channel();
        if self.orders.send((action, done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// SIGTERM; how it ended.
    pub(super) async fn stop(self) -> Result<ExitStatus> {
        drop(self.orders);
        self.supervisor.await?
    }
}

async fn supervise(
    recipe: Recipe,
    mut child: Child,
    mut orders: mpsc::Receiver<(Action, oneshot::Sender<()>)>,
    own_ends: Arc<AtomicU32>,
) -> Result<ExitStatus> {
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some((action, done)) => {
                    strike(&recipe, &mut child, action).await?;
                    let _ = done.send(());
                }
                None => return stop(&mut child).await,
            },
            status = child.wait() => {
                own_ends.fetch_add(1, Ordering::Relaxed);
                eprintln!("{} ended by itself: {}; see {}", recipe.name, status?, recipe.log.display());
                tokio::time::sleep(AGAIN).await;
                child = launch(&recipe)?;
            }
        }
    }
}

async fn strike(recipe: &Recipe, child: &mut Child, action: Action) -> Result<()> {
    match action {
        Action::Kill(down) => {
            child.kill().await?;
            tokio::time::sleep(down).await;
            *child = launch(recipe)?;
        }
        Action::Pause(time) => {
            signal(child, Signal::STOP)?;
            tokio::time::sleep(time).await;
            signal(child, Signal::CONT)?;
        }
    }
    Ok(())
}

async fn stop(child: &mut Child) -> Result<ExitStatus> {
    signal(child, Signal::TERM)?;
    match tokio::time::timeout(STOP, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            child.kill().await?;
            Err("a service did not stop in time".into())
        }
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    // Without an id the process is over already.
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    match pid {
        Some(pid) => Ok(kill_process(pid, signal)?),
        None => Ok(()),
    }
}

fn launch(recipe: &Recipe) -> Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&recipe.log)
        .map_err(explained("write", recipe.log.display()))?;
    // Settings of whoever runs the checker are not those of its cluster.
    let foreign = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("GOCHAT_")));
    let mut command = Command::new(&recipe.program);
    for (name, _) in foreign {
        command.env_remove(name);
    }
    let child = command
        .envs(recipe.variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(explained(
            "start (--programs names the folder)",
            recipe.program.display(),
        ))?;
    Ok(child)
}
