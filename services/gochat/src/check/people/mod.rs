//! Commands about members, roles, mutes, names and announcements of groups, several at once.
//!
//! A round gives two to four commands to different gateways at the same time and looks at the
//! group. [`judge`] then searches for an order of the commands that explains the outcome. A command
//! without an answer (its server was killed) may still be carried out later, so its group is
//! retired: only the invariants are audited there. A dissolved group is replaced by a new one.
//!
//! Half of the groups tell what happens to them: their timelines must say it, see [`told`].

mod board;
mod judge;
mod listen;
mod told;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use gochat_core::ids::UserId;
use gochat_core::membership::Role;
use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::board::Board;
pub(super) use self::judge::Outcomes;
use self::judge::{Command, Edit, Outcome, What, explain, tellings};
pub(super) use self::told::{Said, Tale};
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
/// Timelines that are read at the same time.
const HEARD_AT_ONCE: usize = 64;

/// A group with those who give commands.
struct Club {
    id: String,
    cast: Vec<Who>,
    /// Of a group that tells what happens to it.
    tale: Option<Tale>,
    /// What is pinned there now and then.
    board: Option<Board>,
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
        let Some(mut club) = found(&scene, &mut random).await else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        let mut now = look(&scene, &club.id, &club.cast).await;
        while let Some(crew) = now.take().filter(|crew| !crew.is_dissolved && !is_over()) {
            now = round(
                &scene,
                &mut club,
                &crew,
                &mut random,
                (&control, &mut observed),
            )
            .await;
        }
        observed.tales.extend(club.tale);
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
    let members: Vec<UserId> = members.map(|who| user(&scene.users[*who])).collect();
    let ids: Vec<String> = members.iter().map(ToString::to_string).collect();
    let mut body = json!({ "type": 2, "name": "club", "members": ids });
    let tells = random.random_bool(0.5);
    if tells {
        body["settings"] = json!({ "group_settings": { "system_messages": true } });
    }
    let api = &scene.gate(random.random_range(0..64)).api;
    let opened = timeout(PATIENCE, api.open(&scene.users[owner], &body)).await;
    let id = opened.ok()?.ok()?;
    let tale = tells.then(|| Tale::new(id.clone(), user(&scene.users[owner]), "club", &members));
    let board = match tells {
        true => Board::new(scene, &id, &scene.users[owner]).await,
        false => None,
    };
    Some(Club {
        id,
        cast,
        tale,
        board,
    })
}

/// The group after some commands; `None`: it is retired.
async fn round(
    scene: &Scene,
    club: &mut Club,
    before: &Crew,
    random: &mut StdRng,
    (control, observed): (&Control, &mut Observed),
) -> Option<Crew> {
    let cast: Vec<UserId> = club
        .cast
        .iter()
        .map(|who| user(&scene.users[*who]))
        .collect();
    // A dissolved group tells nothing more, also not what it owes.
    let may_end = club.tale.is_none();
    let commands = wish::commands(&cast, before, random, may_end);
    let asked = commands.iter().map(|command| {
        let gate = random.random_range(0..64);
        ask(scene, &club.id, command, gate)
    });
    let asked: Vec<_> = asked.collect();
    let outcomes: Vec<Outcome> = join_all(asked).await;
    observed.commands.count(&outcomes);
    let done = outcomes.iter().filter(|o| **o == Outcome::Done).count();
    control.commands.fetch_add(done as u64, Ordering::Relaxed);
    let is_answered = !outcomes.contains(&Outcome::Unknown);
    let after = match is_answered {
        true => look(scene, &club.id, &club.cast).await,
        false => None,
    };
    if let Some(tale) = &mut club.tale {
        let round = tellings(before, &commands, &outcomes, after.as_ref());
        tale.rounds.push(round);
    }
    let after = after?;
    if !explain(before, &commands, &outcomes, &after) {
        observed.unexplained.push(format!(
            "no order of {commands:?}, answered {outcomes:?}, leads from {before:?} to {after:?} in group {}",
            club.id
        ));
        return None;
    }
    if random.random_ratio(1, 3) {
        pin(scene, club, &after).await;
    }
    Some(after)
}

/// The owner pins a message, or takes it off.
async fn pin(scene: &Scene, club: &mut Club, crew: &Crew) {
    let owner = scene.users.iter().find(|u| Some(user(u)) == crew.owner);
    let (Some(board), Some(tale), Some(owner)) = (&mut club.board, &mut club.tale, owner) else {
        return;
    };
    if !board.turn(scene, owner, tale).await {
        club.board = None;
    }
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
        What::Mute(user, is_muted) => (
            Method::PUT,
            format!("{path}/members/{user}/mute"),
            Some(json!({ "until": is_muted.then_some(0) })),
        ),
        What::Edit(version, edit) => (Method::PUT, path, Some(edit_body(*version, edit))),
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

fn edit_body(version: u64, edit: &Edit) -> Value {
    match edit {
        Edit::Name(name) => json!({ "name": name, "version": version }),
        Edit::Announcement(text) => json!({ "announcement": text, "version": version }),
        Edit::MuteAll(mute_all) => {
            let settings = json!({ "group_settings": { "mute_all": mute_all } });
            json!({ "settings": settings, "version": version })
        }
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
    let all = data["members"].as_array().into_iter().flatten();
    let muted = all.filter(|m| m["muted"] == true);
    Crew {
        muted: muted
            .filter_map(|m| m["userId"].as_str()?.parse().ok())
            .collect(),
        mute_all: is_mute_all(&data["settings"]),
        announcement: data["announcement"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        owner: data["ownerId"].as_str().and_then(|id| id.parse().ok()),
        members,
        count: data["memberCount"].as_u64().unwrap_or(0),
        name: data["name"].as_str().unwrap_or_default().to_owned(),
        version: data["version"].as_u64().unwrap_or(0),
        is_dissolved: false,
    }
}

/// Whether only admins and the owner may write.
fn is_mute_all(settings: &Value) -> bool {
    settings["group_settings"]["mute_all"] == true
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
    let clubs = observed.clubs.clone();
    let tales = observed.tales.iter_mut().map(|tale| {
        let cast = clubs.iter().find(|(id, _)| *id == tale.group);
        listen::hear(scene, tale, cast.map_or(&[][..], |(_, cast)| cast))
    });
    // Collected first: the stream of a lazy iterator with borrows isn't `Send`.
    let tales: Vec<_> = tales.collect();
    stream::iter(tales)
        .buffer_unordered(HEARD_AT_ONCE)
        .collect::<()>()
        .await;
}
