//! The parent's view of its workers.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::Result;
use super::api::{Account, Api};
use super::plan::{Done, Lane, Order, Place, Plan, Word};
use super::renew;
use super::stats::Latency;
use super::tokens::Renewal;

/// Connections of one worker, below the cap of 20,000 file descriptors.
const PER_WORKER: usize = 18_000;
/// How long a worker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// All workers of a run.
pub(super) struct Swarm {
    workers: Vec<Worker>,
    words: mpsc::UnboundedReceiver<(usize, Word)>,
    /// Ends with the swarm.
    renewal: Option<(Renewal, JoinHandle<()>)>,
}

struct Worker {
    /// Killed when dropped.
    _child: Child,
    stdin: Arc<Mutex<ChildStdin>>,
    /// Which user of the run each of its tokens belongs to.
    owners: Vec<u32>,
    connections: usize,
    opened: usize,
}

/// What connecting took.
pub(super) struct Connecting {
    pub(super) open: usize,
    pub(super) failed: usize,
    pub(super) retried: u64,
    pub(super) seconds: f64,
    pub(super) latency: Latency,
}

/// What all workers report at the end.
pub(super) struct Total {
    pub(super) done: Done,
    pub(super) ack: Latency,
    pub(super) delivery: Latency,
    pub(super) lag: Latency,
}

/// Workers for so many connections.
pub(super) fn processes(wanted: Option<usize>, connections: usize) -> usize {
    wanted
        .unwrap_or(1)
        .max(connections.div_ceil(PER_WORKER))
        .max(1)
}

/// Cuts a plan into `n`: connections in equal runs with the tokens they use, lanes to where their connection went.
pub(super) fn split(mut plan: Plan, n: usize) -> Vec<Plan> {
    let share = plan.connections.len().div_ceil(n).max(1);
    let all_lanes = plan.lanes.len().max(1) as f64;
    let connections = std::mem::take(&mut plan.connections);
    let lanes = std::mem::take(&mut plan.lanes);
    let tokens = std::mem::take(&mut plan.tokens);
    let owners = std::mem::take(&mut plan.owners);
    let part = |at: usize| {
        let from = (at * share).min(connections.len());
        let to = (from + share).min(connections.len());
        let here = lanes.iter().filter(|l| (from..to).contains(&l.connection));
        let here: Vec<Lane> = here
            .map(|l| Lane {
                connection: l.connection - from,
                ..l.clone()
            })
            .collect();
        let (connections, used) = with_tokens(&connections[from..to]);
        let of = |at: &u32| owners.get(*at as usize).copied();
        Plan {
            connections,
            tokens: used.iter().map(|at| tokens[*at as usize].clone()).collect(),
            owners: used.iter().filter_map(of).collect(),
            rate: plan.rate * here.len() as f64 / all_lanes,
            lanes: here,
            ..plan.clone()
        }
    };
    (0..n).map(part).collect()
}

/// These connections, and the tokens that they use, by their indices in the whole plan.
fn with_tokens(connections: &[Place]) -> (Vec<Place>, Vec<u32>) {
    let (mut used, mut places) = (Vec::new(), HashMap::new());
    let place = |connection: &Place| Place {
        token: *places.entry(connection.token).or_insert_with(|| {
            used.push(connection.token);
            used.len() as u32 - 1
        }),
        ..*connection
    };
    (connections.iter().map(place).collect(), used)
}

impl Swarm {
    /// Starts one worker per plan.
    pub(super) async fn start(plans: Vec<Plan>) -> Result<Self> {
        let (sender, words) = mpsc::unbounded_channel();
        let mut workers = Vec::new();
        for (index, plan) in plans.into_iter().enumerate() {
            let mut child = Command::new(std::env::current_exe()?)
                .args(["bench", "worker"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let stdin = child.stdin.take().ok_or("no stdin")?;
            let stdout = child.stdout.take().ok_or("no stdout")?;
            tokio::spawn(listen(index, stdout, sender.clone()));
            let connections = plan.connections.len();
            let worker = Worker {
                _child: child,
                stdin: Arc::new(Mutex::new(stdin)),
                owners: plan.owners.clone(),
                connections,
                opened: 0,
            };
            worker.tell(&plan).await?;
            workers.push(worker);
        }
        Ok(Self {
            workers,
            words,
            renewal: None,
        })
    }

    /// Renews the tokens of these users from now on, and tells the workers.
    pub(super) fn keep_tokens(&mut self, api: &Api, users: &[Account]) {
        let workers = self.workers.iter().map(|worker| {
            let owners = worker.owners.iter().zip(0..);
            (
                worker.stdin.clone(),
                owners.map(|(owner, at)| (*owner as usize, at)).collect(),
            )
        });
        self.renewal = Some(renew::keep(api, users, workers.collect()));
    }

    /// Opens `n` more connections (or all that are left), spread over the workers.
    pub(super) async fn connect(&mut self, n: usize) -> Result<Connecting> {
        let mut left = n;
        for worker in &mut self.workers {
            let share = left.min(worker.connections - worker.opened);
            worker.opened += share;
            left -= share;
            worker.tell(&Order::Connect(share)).await?;
        }
        let mut sum = Connecting {
            open: 0,
            failed: 0,
            retried: 0,
            seconds: 0.0,
            latency: Latency::new(),
        };
        for _ in 0..self.workers.len() {
            let word = self.wait(|w| matches!(w, Word::Connected { .. })).await?;
            if let Word::Connected {
                open,
                failed,
                retried,
                micros,
                latency,
            } = word
            {
                sum.open += open;
                sum.failed += failed;
                sum.retried += retried;
                sum.seconds = sum.seconds.max(micros as f64 / 1e6);
                sum.latency.import(&latency);
            }
        }
        Ok(sum)
    }

    /// Drops all connections.
    pub(super) async fn disconnect(&mut self) -> Result<()> {
        self.tell_all(&Order::Disconnect).await?;
        for worker in &mut self.workers {
            worker.opened = 0;
        }
        for _ in 0..self.workers.len() {
            self.wait(|w| matches!(w, Word::Disconnected)).await?;
        }
        Ok(())
    }

    pub(super) async fn tell_all(&mut self, order: &Order) -> Result<()> {
        for worker in &mut self.workers {
            worker.tell(order).await?;
        }
        Ok(())
    }

    /// Tells the first worker.
    pub(super) async fn tell_first(&mut self, order: &Order) -> Result<()> {
        self.workers[0].tell(order).await
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// The next thing any worker says.
    pub(super) async fn next(&mut self) -> Result<(usize, Word)> {
        let word = tokio::time::timeout(PATIENCE, self.words.recv()).await;
        word.map_err(|_| "a worker doesn't answer")?
            .ok_or_else(|| "all workers are gone".into())
    }

    /// Shows progress on stderr for so long.
    pub(super) async fn watch(&mut self, time: Duration) -> Result<()> {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        let mut latest = vec![(0, 0, 0); self.workers.len()];
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                word = self.next() => {
                    let (worker, word) = word?;
                    if let Word::Progress { sent, acked, delivered } = word {
                        latest[worker] = (sent, acked, delivered);
                    }
                    if worker + 1 == latest.len() {
                        let sum = latest.iter().fold((0, 0, 0), |s, w| (s.0 + w.0, s.1 + w.1, s.2 + w.2));
                        eprintln!("sent {} acknowledged {} delivered {}", sum.0, sum.1, sum.2);
                    }
                }
            }
        }
    }

    /// Collects the reports and ends the workers.
    pub(super) async fn finish(mut self) -> Result<Total> {
        self.tell_all(&Order::Finish).await?;
        let mut total = Total {
            done: Done::default(),
            ack: Latency::new(),
            delivery: Latency::new(),
            lag: Latency::new(),
        };
        for _ in 0..self.workers.len() {
            let word = self.wait(|w| matches!(w, Word::Done(_))).await?;
            if let Word::Done(done) = word {
                total.done.counts.add(&done.counts);
                total.done.acked_measured += done.acked_measured;
                total.done.delivered_measured += done.delivered_measured;
                total.done.cpu += done.cpu;
                total.done.bytes += done.bytes;
                total.ack.import(&done.ack);
                total.delivery.import(&done.delivery);
                total.lag.import(&done.lag);
            }
        }
        Ok(total)
    }

    async fn wait(&mut self, wanted: impl Fn(&Word) -> bool) -> Result<Word> {
        loop {
            let (_, word) = self.next().await?;
            if wanted(&word) {
                return Ok(word);
            }
        }
    }
}

impl Worker {
    async fn tell(&self, what: &impl Serialize) -> Result<()> {
        tell(&self.stdin, what).await
    }
}

/// Writes one line to a worker.
pub(super) async fn tell(stdin: &Mutex<ChildStdin>, what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    let mut stdin = stdin.lock().await;
    stdin.write_all(&line).await?;
    Ok(stdin.flush().await?)
}

async fn listen(
    index: usize,
    stdout: tokio::process::ChildStdout,
    sender: mpsc::UnboundedSender<(usize, Word)>,
) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(word) = serde_json::from_str(&line)
            && sender.send((index, word)).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_cut_without_losing_anything() {
        let place = |n: u32| Place {
            server: 0,
            source: None,
            token: n / 2,
            device: n % 2,
        };
        let lane = |n: usize| Lane {
            index: n as u32,
            conversation: String::new(),
            connection: n,
        };
        let plan = Plan {
            servers: vec!["server".into()],
            tokens: (0..4).map(|n| n.to_string()).collect(),
            owners: (10..14).collect(),
            connections: (0..7).map(place).collect(),
            lanes: [0, 2, 4, 6].map(lane).to_vec(),
            rate: 100.0,
            ..Plan::default()
        };
        let parts = split(plan, 2);
        assert_eq!(
            parts
                .iter()
                .map(|p| p.connections.len())
                .collect::<Vec<_>>(),
            [4, 3]
        );
        assert_eq!(parts.iter().map(|p| p.rate).sum::<f64>(), 100.0);
        for part in &parts {
            for lane in &part.lanes {
                let opened = part.connection(lane.connection, &part.tokens);
                assert_eq!(opened.token, (lane.index / 2).to_string());
                assert_eq!(opened.device, format!("bench-{}", lane.index % 2));
            }
        }
        assert_eq!(parts[1].tokens, ["2", "3"]);
        assert_eq!(parts[1].owners, [12, 13]);
        assert_eq!(processes(None, 40_000), 3);
        assert_eq!(processes(Some(4), 10), 4);
    }
}
