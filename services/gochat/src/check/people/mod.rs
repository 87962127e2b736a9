//! Commands about members, roles and names of groups, several at once.
//!
//! A round gives two to four commands to different gateways at the same time and looks at the
//! group. [`judge`] then searches for an order of the commands that explains the outcome. A command
//! without an answer (its server was killed) may still be carried out later, so its group is
//! retired: only the invariants are audited there. A dissolved group is replaced by a new one.

mod judge;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gochat_core::ids::UserId;
use gochat_core::membership::Role;
use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use tokio::time::timeout;

pub(super) use self::judge::Outcomes;
use self::judge::{Command, Outcome, What, explain};
use super::load::{Control, Scene};
use super::observe::{Crew, Observed, Who};
use crate::bench::Result;
use crate::bench::api::{Account, never_sent};

/// Users around one group.
const CAST: usize = 6;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Longest wait for one gateway to show a group.
const GLANCE: Duration = Duration::from_secs(2);
/// How long a look at a group may take, through kills and outages.
const LOOK: Duration = Duration::from_secs(180);

/// A group with those who give commands.
struct Club {
    id: String,
    cast: Vec<Who>,
}

/// Gives commands until the load ends.
pub(super) async fn run(
    scene: Arc<Scene>,
    control: Arc<Control>,
    mut random: StdRng,
) -> Result<Observed> {
    let mut observed = Observed::default();
    let is_over = || control.quiet.load(Ordering::Relaxed) || control.stop.load(Ordering::Relaxed);
    while !is_over() {
        let Some(club) = found(&scene, &mut random).await else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        let mut now = look(&scene, &club.id, &club.cast).await;
        while let Some(crew) = now.take().filter(|crew| !crew.is_dissolved && !is_over()) {
            now = round(&scene, &club, &crew, &mut random, (&control, &mut observed)).await;
        }
        observed.clubs.push((club.id, club.cast));
    }
    control.writing.fetch_sub(1, Ordering::Relaxed);
    Ok(observed)
}

/// A new group of its owner, one admin to be, and two more.
async fn found(scene: &Scene, random: &mut StdRng) -> Option<Club> {
    let everybody: Vec<Who> = (0..scene.users.len()).collect();
    let cast: Vec<Who> = everybody.choose_multiple(random, CAST).copied().collect();
    let owner = *cast.first()?;
    let members = cast.iter().skip(1).take(3);
    let members: Vec<&str> = members.map(|who| &*scene.users[*who].id).collect();
    let body = json!({ "type": 2, "name": "club", "members": members });
    let api = &scene.gate(random.random_range(0..64)).api;
    let opened = timeout(PATIENCE, api.open(&scene.users[owner], &body)).await;
    let id = opened.ok()?.ok()?;
    Some(Club { id, cast })
}

/// The group after some commands; `None`: it is retired.
async fn round(
    scene: &Scene,
    club: &Club,
    before: &Crew,
    random: &mut StdRng,
    (control, observed): (&Control, &mut Observed),
) -> Option<Crew> {
    let cast: Vec<UserId> = club
        .cast
        .iter()
        .map(|who| user(&scene.users[*who]))
        .collect();
    let commands = wish::commands(&cast, before, random);
    let asked = commands.iter().map(|command| {
        let gate = random.random_range(0..64);
        ask(scene, &club.id, command, gate)
    });
    let asked: Vec<_> = asked.collect();
    let outcomes: Vec<Outcome> = join_all(asked).await;
    observed.commands.count(&outcomes);
    let done = outcomes.iter().filter(|o| **o == Outcome::Done).count();
    control.commands.fetch_add(done as u64, Ordering::Relaxed);
    if outcomes.contains(&Outcome::Unknown) {
        return None;
    }
    let after = look(scene, &club.id, &club.cast).await?;
    if !explain(before, &commands, &outcomes, &after) {
        observed.unexplained.push(format!(
            "no order of {commands:?}, answered {outcomes:?}, leads from {before:?} to {after:?} in group {}",
            club.id
        ));
        return None;
    }
    Some(after)
}

fn user(account: &Account) -> UserId {
    account.id.parse().unwrap_or_default()
}

/// Gives a command and waits for its answer.
async fn ask(scene: &Scene, id: &str, command: &Command, gate: usize) -> Outcome {
    let path = format!("/conversations/{id}");
    let (method, path, body) = match &command.what {
        What::Add(user) => (
            Method::POST,
            format!("{path}/members"),
            Some(json!({ "members": [user.to_string()] })),
        ),
        What::Remove(user) => (Method::DELETE, format!("{path}/members/{user}"), None),
        What::SetRole(user, role) => (
            Method::PUT,
            format!("{path}/members/{user}"),
            Some(json!({ "role": *role as i32 })),
        ),
        What::Dissolve => (Method::DELETE, path, None),
        What::Rename(version, name) => (
            Method::PUT,
            path,
            Some(json!({ "name": name, "version": version })),
        ),
    };
    let Some(account) = scene.users.iter().find(|u| user(u) == command.by) else {
        return Outcome::NotRun;
    };
    let api = &scene.gate(gate).api;
    let token = account.token();
    let call = api.once(method, &path, &token, body.as_ref());
    match timeout(PATIENCE, call).await {
        Ok(Ok((status, answer))) => outcome(status, &answer),
        Ok(Err(error)) if never_sent(&*error) => Outcome::NotRun,
        _ => Outcome::Unknown,
    }
}

/// What an answer says about the command. An addition that became an invitation was not carried
/// out.
fn outcome(status: u16, answer: &Value) -> Outcome {
    let failed = answer["data"]["failedUsers"].as_array();
    match (status, failed.and_then(|failed| failed.first())) {
        (200..=299, Some(failed)) if failed["code"] == "INVITED" => Outcome::NotRun,
        (200..=299, Some(_)) => Outcome::Refused,
        (200..=299, None) => Outcome::Done,
        (401 | 429, _) => Outcome::NotRun,
        (400..=499, _) => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}

/// The group as the first of the cast sees it who may see it; `None` when nobody could for long.
pub(super) async fn look(scene: &Scene, id: &str, cast: &[Who]) -> Option<Crew> {
    let path = format!("/conversations/{id}");
    let deadline = Instant::now() + LOOK;
    while Instant::now() < deadline {
        for (n, who) in cast.iter().enumerate() {
            let (api, token) = (&scene.gate(who + n).api, scene.users[*who].token());
            let call = api.once(Method::GET, &path, &token, None);
            match timeout(GLANCE, call).await {
                Ok(Ok((200, answer))) => return Some(crew(&answer["data"])),
                Ok(Ok((404, answer))) if answer["code"] == "CONVERSATION_DISSOLVED" => {
                    return Some(Crew::dissolved());
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    None
}

fn crew(data: &Value) -> Crew {
    let member = |m: &Value| {
        let role = i32::try_from(m["role"].as_i64()?).ok()?;
        Some((m["userId"].as_str()?.parse().ok()?, Role::from_i32(role)?))
    };
    let members: BTreeMap<UserId, Role> = data["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(member)
        .collect();
    Crew {
        owner: data["ownerId"].as_str().and_then(|id| id.parse().ok()),
        members,
        count: data["memberCount"].as_u64().unwrap_or(0),
        name: data["name"].as_str().unwrap_or_default().to_owned(),
        version: data["version"].as_u64().unwrap_or(0),
        is_dissolved: false,
    }
}

/// Looks at every group that got commands, for the audit.
pub(super) async fn collect(scene: &Scene, observed: &mut Observed) {
    let looks = observed
        .clubs
        .iter()
        .map(|(id, cast)| look(scene, id, cast));
    let crews = join_all(looks.collect::<Vec<_>>()).await;
    let ids = observed.clubs.iter().map(|(id, _)| id.clone());
    observed.crews = ids.zip(crews).collect();
}
