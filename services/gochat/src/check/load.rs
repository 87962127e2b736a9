//! Who talks where, and for how long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio::task::JoinSet;

use super::CheckArgs;
use super::disturbance::{Disturbance, Millis, Part};
use super::observe::{Observed, Place, WORLD, Who};
use super::{client, people, sdk, sessions};
use crate::bench::Result;
use crate::bench::api::{Account, Api, authority};
use crate::bench::seed;

/// How long clients may take to get their last messages acknowledged.
const GRACE: Duration = Duration::from_secs(180);

/// Users and conversations.
pub(super) struct Scene {
    /// Gateways; clients go to any of them.
    pub(super) gates: Vec<Gate>,
    pub(super) users: Vec<Account>,
    /// Conversation ids and their members.
    pub(super) places: Vec<(String, Vec<Who>)>,
    pub(super) place_of: HashMap<String, Place>,
    /// Access and refresh tokens of the sessions of SDK clients, which renew them by themselves.
    pub(super) sdk_tokens: HashMap<Who, (String, String)>,
    pub(super) run: u64,
}

/// A gateway.
pub(super) struct Gate {
    pub(super) url: String,
    pub(super) server: String,
    pub(super) api: Api,
}

impl Gate {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            server: authority(url),
            api: Api::new(url),
        }
    }
}

/// Rates of plain clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Acts per second.
    pub(super) rate: f64,
    /// Part of the acts that change a message, 0 to 1.
    pub(super) changes: f64,
    /// Time after opening in which pushes may come late.
    pub(super) settling: Duration,
}

/// Signals between the run and its clients.
#[derive(Debug)]
pub(super) struct Control {
    /// Send nothing new.
    pub(super) quiet: AtomicBool,
    /// End now.
    pub(super) stop: AtomicBool,
    /// Acknowledged so far.
    pub(super) acknowledged: AtomicU64,
    /// Commands about groups that were carried out so far.
    pub(super) commands: AtomicU64,
    /// Clients that may still have something on its way: readers wait for them.
    pub(super) writing: AtomicUsize,
    /// Per client: messages of others that came to it by name, not with the world chat, which goes to gateways whoever is
    /// known to be at them.
    reached: Vec<AtomicU64>,
    began: Instant,
    /// When the run began, in Unix milliseconds.
    pub(super) began_unix: u64,
    disturbances: Mutex<Vec<Disturbance>>,
}

impl Control {
    /// For a run with so many clients, who all write, and so many tasks that give commands.
    pub(super) fn new(clients: usize, commanders: usize) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            began: Instant::now(),
            began_unix: unix.map_or(0, millis),
            disturbances: Mutex::default(),
            quiet: AtomicBool::default(),
            stop: AtomicBool::default(),
            acknowledged: AtomicU64::default(),
            commands: AtomicU64::default(),
            writing: AtomicUsize::new(clients + commanders),
            reached: (0..clients).map(|_| AtomicU64::default()).collect(),
        }
    }

    /// Milliseconds since the run began.
    pub(super) fn now(&self) -> Millis {
        millis(self.began.elapsed())
    }

    /// A part did not work from then until now.
    pub(super) fn note_disturbance(&self, part: Part, from: Millis) {
        let to = self.now();
        let mut all = self
            .disturbances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(Disturbance { part, from, to });
    }

    /// All of them so far.
    pub(super) fn disturbances(&self) -> Vec<Disturbance> {
        let all = self
            .disturbances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    /// A message of somebody else came to this client.
    pub(super) fn note_message(&self, who: Who, place: Place) {
        if place != WORLD {
            self.reached[who].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What [`note_message`](Self::note_message) counted, per client.
    pub(super) fn reached(&self) -> Vec<u64> {
        let all = self.reached.iter();
        all.map(|n| n.load(Ordering::Relaxed)).collect()
    }
}

fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Scene {
    pub(super) async fn build(urls: &[String], args: &CheckArgs, seed: u64) -> Result<Self> {
        let gates: Vec<Gate> = urls.iter().map(|url| Gate::new(url)).collect();
        let run = seed::run_id();
        let api = &gates.first().ok_or("no server to check")?.api;
        let users = seed::members(api, run, args.clients.max(4)).await?;
        let mut sdk_tokens = HashMap::new();
        for (who, user) in users.iter().enumerate().skip(args.plain(users.len())) {
            sdk_tokens.insert(who, api.sign_in(&user.name).await?);
        }
        let mut random = StdRng::seed_from_u64(seed);
        let everybody = (0..users.len()).collect();
        // The first is WORLD.
        let mut places: Vec<(String, Vec<Who>)> = vec![("world".into(), everybody)];
        for who in 0..users.len() {
            let peer = (who + 1) % users.len();
            let body = json!({ "type": 1, "members": [users[peer].id] });
            places.push((api.open(&users[who], &body).await?, vec![who, peer]));
        }
        for group in 0..args.groups {
            let owner = group % users.len();
            let mut members: Vec<Who> = (0..users.len())
                .filter(|who| *who != owner && random.random_bool(0.5))
                .collect();
            let accounts: Vec<Account> = members.iter().map(|who| users[*who].clone()).collect();
            let name = format!("check {run:x} {group}");
            let id = seed::group(api, name, &users[owner], &accounts).await?;
            members.push(owner);
            places.push((id, members));
        }
        let place_of = places
            .iter()
            .enumerate()
            .map(|(n, (id, _))| (id.clone(), n))
            .collect();
        Ok(Self {
            gates,
            users,
            places,
            place_of,
            sdk_tokens,
            run,
        })
    }

    /// The gateway with this number, counted round and round.
    pub(super) fn gate(&self, n: usize) -> &Gate {
        &self.gates[n % self.gates.len()]
    }

    /// Conversations of a user.
    pub(super) fn places_of(&self, who: Who) -> Vec<Place> {
        let all = self.places.iter().enumerate();
        all.filter(|(_, (_, members))| members.contains(&who))
            .map(|(n, _)| n)
            .collect()
    }
}

/// Starts one task per client; the last ones are the SDK.
pub(super) fn start(
    scene: &Arc<Scene>,
    control: &Arc<Control>,
    args: &CheckArgs,
    seed: u64,
) -> JoinSet<Result<Observed>> {
    let mut clients = JoinSet::new();
    let plain = args.plain(scene.users.len());
    let rate = args.rate;
    for who in 0..scene.users.len() {
        let (scene, control) = (scene.clone(), control.clone());
        let random = StdRng::seed_from_u64(seed ^ (who as u64 + 1));
        if who < plain {
            let pace = Pace {
                rate,
                changes: args.changes.clamp(0.0, 1.0),
                settling: Duration::from_secs_f64(args.settling.clamp(0.0, 3600.0)),
            };
            clients.spawn(client::run(who, scene, control, pace, random));
        } else {
            clients.spawn(sdk::run(who, scene, control, rate, random));
        }
    }
    for club in 0..args.clubs {
        let random = StdRng::seed_from_u64(seed ^ 0xC1AB ^ ((club as u64 + 1) << 32));
        clients.spawn(people::run(scene.clone(), control.clone(), random));
    }
    let late = sessions::late(args);
    for n in 0..args.sessions {
        let random = StdRng::seed_from_u64(seed ^ 0x5E55 ^ ((n as u64 + 1) << 40));
        clients.spawn(sessions::run(
            scene.clone(),
            control.clone(),
            n,
            late,
            random,
        ));
    }
    clients
}

/// Waits until everything is acknowledged, and puts together what was seen.
pub(super) async fn finish(
    mut clients: JoinSet<Result<Observed>>,
    control: &Control,
) -> Result<Observed> {
    let deadline = Instant::now() + GRACE;
    let mut observed = Observed::default();
    while !clients.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.max(Duration::from_millis(100)), clients.join_next()).await
        {
            Ok(Some(done)) => observed.merge(done??),
            Ok(None) => break,
            Err(_) => control.stop.store(true, Ordering::Relaxed),
        }
    }
    Ok(observed)
}
