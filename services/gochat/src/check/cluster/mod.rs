//! A cluster of the checker's own: several instances of every service on real servers, struck at random.
//!
//! Every part runs as a process of its own and is killed (SIGKILL), or stopped for a while (SIGSTOP), at moments that a
//! seed decides. Services are started again as a supervisor would; nothing else helps them to recover.

mod faults;
mod infra;
mod process;
mod settings;

use gochat_infra::os::explained;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

pub(super) use faults::Kind;
use faults::{Action, Fault, SERVICES, Target};
use infra::Infra;
use process::{Process, Recipe};

use super::disturbance::Part;
use super::load::Control;
use crate::bench::Result;
use crate::bench::api::Api;

/// Faults under way at a time.
const AT_ONCE: usize = 3;
/// After so many faults the cluster gets to recover by itself, which is timed, and works undisturbed for [`CALM`].
const ROUND: usize = 20;
/// Undisturbed work between rounds: faults must meet a cluster under load, not one that is down already.
const CALM: Duration = Duration::from_secs(3);
/// Commands about groups per fault: a command needs the owner of its group's partition, and faults
/// come faster than owners change, so most are carried out between the rounds.
const COMMANDS: u64 = 20;
/// Longest wait for them.
const COMMANDS_TIME: Duration = Duration::from_secs(120);
/// Messages acknowledged after which the cluster counts as working again.
const FLOWING: u64 = 100;
/// How long a start, or a recovery, may take.
const START: Duration = Duration::from_secs(120);

/// Flags of a cluster of one's own.
#[derive(Debug, Clone, Args)]
pub(super) struct ClusterArgs {
    /// Start a cluster of one's own on real Kafka, MySQL, Redis and etcd, and strike it at random.
    #[arg(long, conflicts_with = "spawn")]
    pub(super) cluster: bool,
    /// With --cluster: how many faults.
    #[arg(long, default_value_t = 40)]
    pub(super) faults: usize,
    /// With --cluster: instances of each service.
    #[arg(long, default_value_t = 2)]
    instances: usize,
    /// With --cluster: what is struck.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "service,kafka,mysql,redis,etcd"
    )]
    strike: Vec<Kind>,
    /// With --cluster: folder of the service programs; default: where this program lies.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// With --cluster: the last instance of each service runs from this folder instead (mixed versions).
    #[arg(long, value_name = "DIR")]
    other_programs: Option<PathBuf>,
    /// With --cluster: the script that runs the servers.
    #[arg(long, value_name = "FILE", default_value = "deploy/infra/infra")]
    infra: PathBuf,
    /// With --cluster: keep logs and data.
    #[arg(long)]
    keep: bool,
}

/// A running cluster.
pub(super) struct Fleet {
    infra: Infra,
    processes: Arc<Vec<Vec<Process>>>,
    urls: Vec<String>,
    folder: PathBuf,
    keep: bool,
    /// Faults by what was done to whom.
    struck: BTreeMap<String, u32>,
    /// The longest time from the last fault of a round until everything answered again.
    slowest_recovery: Duration,
}

impl Fleet {
    /// Starts the servers, then the services, and waits until every gateway answers.
    pub(super) async fn start(args: &ClusterArgs, extra: &[String]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("gochat-check-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).map_err(explained("make", folder.display()))?;
        eprintln!("data and logs in {}", folder.display());
        let infra = Infra::start(&args.infra, &folder).await?;
        let started = tokio::select! {
            started = Self::start_services(args, extra, infra.clone(), folder) => started,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        };
        if started.is_err() {
            infra.stop().await;
        }
        started
    }

    async fn start_services(
        args: &ClusterArgs,
        extra: &[String],
        infra: Infra,
        folder: PathBuf,
    ) -> Result<Self> {
        let shared = settings::shared(infra.variables().await?, extra);
        let own = std::env::current_exe()?;
        let programs = match (&args.programs, own.parent()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => {
                return Err("where are the programs of the services? say --programs".into());
            }
        };
        let (mut processes, mut urls) = (Vec::new(), Vec::new());
        for service in SERVICES {
            let mut instances = Vec::new();
            for instance in 0..args.instances.max(1) {
                let (own, url) = settings::instance(service)?;
                urls.extend(url);
                let last = instance + 1 == args.instances;
                let from = args.other_programs.as_ref().filter(|_| last);
                let name = format!("{service}-{}", instance + 1);
                instances.push(Process::start(Recipe {
                    program: from.unwrap_or(&programs).join(service),
                    variables: shared.iter().cloned().chain(own).collect(),
                    log: folder.join(format!("{name}.log")),
                    name,
                })?);
            }
            processes.push(instances);
        }
        let fleet = Self {
            infra,
            processes: Arc::new(processes),
            urls,
            folder,
            keep: args.keep,
            struck: BTreeMap::new(),
            slowest_recovery: Duration::ZERO,
        };
        fleet.wait_ready().await?;
        Ok(fleet)
    }

    /// Where the gateways answer.
    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Faults so far, by what and whom.
    pub(super) fn struck(&self) -> &BTreeMap<String, u32> {
        &self.struck
    }

    /// The longest it took after the last fault of a round until everything answered again.
    pub(super) fn slowest_recovery(&self) -> Duration {
        self.slowest_recovery
    }

    /// Processes that ended although nobody struck them.
    pub(super) fn own_ends(&self) -> u32 {
        let all = self.processes.iter().flatten();
        all.map(|process| process.own_ends.load(Ordering::Relaxed))
            .sum()
    }

    /// Strikes as the seed says, then waits until everything answers again without help.
    pub(super) async fn strike(
        &mut self,
        (args, clubs): (&ClusterArgs, usize),
        seed: u64,
        control: &Arc<Control>,
    ) -> Result<()> {
        let plan = faults::plan(seed, args.faults, &args.strike, args.instances.max(1));
        let mut done = 0;
        for round in plan.chunks(ROUND) {
            self.strike_round(round, (done, plan.len()), control)
                .await?;
            done += round.len();
            let took = self.recover(control).await?;
            self.slowest_recovery = self.slowest_recovery.max(took);
            eprintln!(
                "everybody is served again {} ms after the last fault",
                took.as_millis()
            );
            tokio::time::sleep(CALM).await;
            if clubs > 0 {
                work_on(control, done as u64 * COMMANDS).await;
            }
        }
        Ok(())
    }

    /// One round of faults, several at a time; `done` of `all` came before.
    async fn strike_round(
        &mut self,
        round: &[Fault],
        (done, all): (usize, usize),
        control: &Arc<Control>,
    ) -> Result<()> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        // One fault at a time per part; the others go on meanwhile.
        let mut turns: HashMap<Target, Arc<Mutex<()>>> = HashMap::new();
        let mut under_way: JoinSet<Result<()>> = JoinSet::new();
        for (n, fault) in round.iter().enumerate() {
            tokio::time::sleep(fault.after).await;
            let place = places.clone().acquire_owned().await?;
            let turn = turns.entry(fault.target).or_default().clone();
            let turn = turn.lock_owned().await;
            eprintln!(
                "fault {} of {all}: {}: {}; {} acknowledged",
                done + n + 1,
                fault.target,
                fault.action,
                control.acknowledged.load(Ordering::Relaxed),
            );
            *self.struck.entry(label(fault)).or_default() += 1;
            let (infra, processes, fault) = (self.infra.clone(), self.processes.clone(), *fault);
            let control = control.clone();
            under_way.spawn(async move {
                let from = control.now();
                let done = strike(&infra, &processes, fault).await;
                if let Some(part) = part(fault) {
                    control.note_disturbance(part, from);
                }
                drop((place, turn));
                done
            });
            while let Some(done) = under_way.try_join_next() {
                done??;
            }
        }
        while let Some(done) = under_way.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Waits until every gateway is healthy, messages are acknowledged again and every client gets what others say, with
    /// nobody's help.
    async fn recover(&self, control: &Arc<Control>) -> Result<Duration> {
        let began = Instant::now();
        let acknowledged = || control.acknowledged.load(Ordering::Relaxed);
        let enough = acknowledged() + FLOWING;
        self.wait_ready().await?;
        self.wait_while(began, || {
            (acknowledged() < enough).then(|| "messages don't flow again".to_owned())
        })
        .await?;
        let before = control.reached();
        self.wait_while(began, || {
            let mut both = control.reached().into_iter().zip(&before);
            let who = both.position(|(now, before)| now <= *before)?;
            Some(format!("client {who} gets nothing any more"))
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Waits while something is `missing`, which is the error if that takes too long.
    async fn wait_while(&self, began: Instant, missing: impl Fn() -> Option<String>) -> Result<()> {
        while let Some(missing) = missing() {
            if began.elapsed() > START {
                return Err(format!("{missing}; see {}", self.folder.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Stops services in order, then the servers; says which did not end well. Logs and data of a
    /// run that failed stay.
    pub(super) async fn stop(self, is_clean: bool) -> Result<()> {
        let Ok(processes) = Arc::try_unwrap(self.processes) else {
            // The run was cut short. Its services are killed when the fault lets go of them.
            self.infra.stop().await;
            return Err("a fault was still under way".into());
        };
        let mut bad = Vec::new();
        // The edge first, storage last.
        for (service, instances) in SERVICES.iter().zip(processes).rev() {
            for (n, process) in instances.into_iter().enumerate() {
                match process.stop().await {
                    Ok(status) if status.success() => {}
                    Ok(status) => bad.push(format!("{service}-{}: {status}", n + 1)),
                    Err(error) => bad.push(format!("{service}-{}: {error}", n + 1)),
                }
            }
        }
        self.infra.stop().await;
        if !self.keep && is_clean && bad.is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
        if bad.is_empty() {
            Ok(())
        } else {
            Err(format!("not stopped cleanly: {}", bad.join(", ")).into())
        }
    }

    async fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        for url in &self.urls {
            let api = Api::new(url);
            while !api.is_healthy().await {
                if Instant::now() >= deadline {
                    return Err(
                        format!("{url} does not answer; see {}", self.folder.display()).into(),
                    );
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

/// What is cut off from the ends of sessions by a fault. A gateway that was killed loads them
/// before it serves anybody.
fn part(fault: Fault) -> Option<Part> {
    match (fault.target, fault.action) {
        (Target::Server("kafka"), _) => Some(Part::Log),
        (Target::Service(service, instance), Action::Pause(_))
            if SERVICES[service] == "im-gateway" =>
        {
            Some(Part::Gateway(instance))
        }
        _ => None,
    }
}

fn label(fault: &Fault) -> String {
    let what = match fault.action {
        Action::Kill(_) => "kill",
        Action::Pause(_) => "pause",
    };
    let whom = match fault.target {
        Target::Service(service, _) => SERVICES[service],
        Target::Server(name) => name,
    };
    format!("{what} {whom}")
}

/// Waits until so many commands about groups were carried out, a while at most.
async fn work_on(control: &Control, commands: u64) {
    let deadline = Instant::now() + COMMANDS_TIME;
    while control.commands.load(Ordering::Relaxed) < commands && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn strike(infra: &Infra, processes: &[Vec<Process>], fault: Fault) -> Result<()> {
    let name = match fault.target {
        Target::Service(service, instance) => {
            processes[service][instance].strike(fault.action).await;
            return Ok(());
        }
        Target::Server(name) => name,
    };
    let (first, time, then) = match fault.action {
        Action::Kill(down) => ("kill", down, "start"),
        Action::Pause(time) => ("pause", time, "resume"),
    };
    infra.call(&[first, name]).await?;
    tokio::time::sleep(time).await;
    infra.call(&[then, name]).await
}
