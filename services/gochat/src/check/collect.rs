//! Reading everything back, as every reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::changes::counts;
use super::load::Scene;
use super::observe::{Listed, Observed, Place, Row, Who};
use super::references::{Quote, References};
use crate::bench::Result;
use crate::bench::seed::gather;

/// Rows per request.
const PAGE: usize = 100;
/// Deleted messages of one conversation that a reader jumps to.
const AROUND: usize = 2;
/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// How long acknowledged messages may take to reach the database.
const SETTLE_TRIES: usize = 600;

/// Fills in histories and lists.
pub(super) async fn everything(scene: &Arc<Scene>, observed: &mut Observed) -> Result<()> {
    let mut heads: BTreeMap<Place, u64> = BTreeMap::new();
    for ack in &observed.acks {
        let head = heads.entry(ack.place).or_default();
        *head = ack.seq.max(*head);
    }
    let mut revs: BTreeMap<Place, u64> = BTreeMap::new();
    for ack in &observed.changes.acks {
        let head = revs.entry(ack.place).or_default();
        *head = ack.rev.max(*head);
    }
    settle(scene, &heads, &revs).await?;
    for place in 0..scene.places.len() {
        let reader = scene.places[place].1[0];
        let head = head_rev(scene, reader, place).await?;
        observed.head_revs.insert(place, head);
    }
    catch_up(scene, observed).await?;
    let all: Vec<(Who, Place)> = scene
        .places
        .iter()
        .enumerate()
        .flat_map(|(place, (_, members))| members.iter().map(move |who| (*who, place)))
        .collect();
    let all = Arc::new(all);
    let histories = gather(all.len(), AT_ONCE, |n| {
        let (scene, (who, place)) = (scene.clone(), all[n]);
        async move { history(&scene, who, place).await }
    })
    .await?;
    for (of, (rows, mine)) in all.iter().copied().zip(histories) {
        observed.history.insert(of, rows);
        observed.mine.insert(of, mine);
    }
    deletions(scene, observed).await?;
    observed.users = scene.users.iter().map(|user| user.id.clone()).collect();
    for who in 0..scene.users.len() {
        observed.lists.extend(list(scene, who).await?);
    }
    Ok(())
}

/// Lets every client that holds messages fetch what it missed.
async fn catch_up(scene: &Scene, observed: &mut Observed) -> Result<()> {
    for ((who, place), replica) in &mut observed.replicas {
        let (token, id) = (scene.users[*who].token(), &scene.places[*place].0);
        loop {
            let after = replica.complete;
            let path = format!("/conversations/{id}/changes?after_rev={after}&limit=200");
            let api = &scene.gate(*who).api;
            let page = api.call(Method::GET, &path, &token, None).await?;
            if let Some(deletions) = observed.deletions.get_mut(&(*who, *place)) {
                let known = deletions.known();
                deletions.shown(&page, known);
            }
            if replica.catch_up(&page) {
                break;
            }
        }
    }
    Ok(())
}

/// Reads what a second device is told of deleted messages, and what stands around the newest of
/// them.
async fn deletions(scene: &Scene, observed: &mut Observed) -> Result<()> {
    for ((who, place), deletions) in &mut observed.deletions {
        let (token, id) = (scene.users[*who].token(), &scene.places[*place].0);
        let api = &scene.gate(*who).api;
        loop {
            let after = deletions.listed.last().map_or(0, |(_, version)| *version);
            let path = format!("/conversations/{id}/hidden?after_version={after}&limit=7");
            let page = api.call(Method::GET, &path, &token, None).await?;
            let number = |m: &Value, field: &str| m[field].as_u64().unwrap_or(0);
            let messages = page["messages"].as_array().map_or(&[][..], Vec::as_slice);
            let listed = messages.iter();
            let listed = listed.map(|m| (number(m, "seqId"), number(m, "version")));
            deletions.listed.extend(listed);
            if messages.is_empty() || page["hasMore"] != true {
                break;
            }
        }
        let newest = deletions.listed.iter().rev().take(AROUND);
        let first = std::iter::once(deletions.cleared + 1);
        let middles = newest.map(|(seq, _)| *seq).chain(first);
        for seq in middles.collect::<Vec<_>>() {
            let path = format!("/conversations/{id}/messages?around_seq={seq}&limit=10");
            let page = api.call(Method::GET, &path, &token, None).await?;
            let known = deletions.known();
            deletions.shown(&page, known);
            let messages = page["messages"].as_array().into_iter().flatten();
            deletions.around.extend(messages.map(row));
        }
    }
    Ok(())
}

async fn head_rev(scene: &Scene, who: Who, place: Place) -> Result<u64> {
    let id = &scene.places[place].0;
    let path = format!("/conversations/{id}/changes?after_rev={}&limit=1", i64::MAX);
    let token = &scene.users[who].token();
    let api = &scene.gate(who).api;
    let data = api.call(Method::GET, &path, token, None).await?;
    Ok(data["headRev"].as_u64().unwrap_or(0))
}

/// Waits until history reaches what was acknowledged, and then stands still.
async fn settle(
    scene: &Scene,
    heads: &BTreeMap<Place, u64>,
    revs: &BTreeMap<Place, u64>,
) -> Result<()> {
    let (mut before, mut calm) = (BTreeMap::new(), 0);
    for _ in 0..SETTLE_TRIES {
        let mut now = BTreeMap::new();
        for (place, (_, members)) in scene.places.iter().enumerate() {
            let reader = members[0];
            let newest = newest(scene, reader, place).await?;
            now.insert(place, (newest, head_rev(scene, reader, place).await?));
        }
        let reaches = |wanted: &BTreeMap<Place, u64>, of: fn(&(u64, u64)) -> u64| {
            let mut wanted = wanted.iter();
            wanted.all(|(place, head)| now.get(place).map(of) >= Some(*head))
        };
        let there = reaches(heads, |now| now.0) && reaches(revs, |now| now.1);
        calm = if there && now == before { calm + 1 } else { 0 };
        if calm >= 5 {
            return Ok(());
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The audit will say what is missing.
    eprintln!("history does not reach what was acknowledged");
    Ok(())
}

async fn newest(scene: &Scene, who: Who, place: Place) -> Result<u64> {
    let path = format!("/conversations/{}/messages?limit=1", scene.places[place].0);
    let token = &scene.users[who].token();
    let data = scene
        .gate(who)
        .api
        .call(Method::GET, &path, token, None)
        .await?;
    Ok(data["messages"][0]["seqId"].as_u64().unwrap_or(0))
}

/// Rows, and the reactions that are the reader's own.
type History = (Vec<Row>, BTreeSet<(u64, String)>);

async fn history(scene: &Scene, who: Who, place: Place) -> Result<History> {
    let (mut rows, mut own): (Vec<Row>, _) = (Vec::new(), BTreeSet::new());
    loop {
        let after = rows.last().map_or(0, |row| row.seq);
        let id = &scene.places[place].0;
        let path = format!("/conversations/{id}/messages?after_seq={after}&limit={PAGE}");
        let token = &scene.users[who].token();
        let data = scene
            .gate(who)
            .api
            .call(Method::GET, &path, token, None)
            .await?;
        let page = data["messages"].as_array().map_or(&[][..], Vec::as_slice);
        rows.extend(page.iter().map(row));
        own.extend(page.iter().flat_map(mine));
        if page.is_empty() || data["hasMore"] != true {
            return Ok((rows, own));
        }
    }
}

/// Reactions to a message that are the reader's own.
fn mine(message: &Value) -> Vec<(u64, String)> {
    let reactions = message["reactions"].as_array().into_iter().flatten();
    let own = reactions.filter(|r| r["mine"] == true);
    let seq = message["seqId"].as_u64().unwrap_or(0);
    own.map(|r| (seq, r["emoji"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn row(message: &Value) -> Row {
    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
    Row {
        seq: message["seqId"].as_u64().unwrap_or(0),
        rev: message["rev"].as_u64().unwrap_or(0),
        deleted: message["deleted"] == true,
        edits: message["editCount"].as_u64().unwrap_or(0),
        reactions: counts(message),
        pinned: message["pinned"] == true,
        hidden: message["hidden"] == true,
        message_id: text("id"),
        sender: text("senderId"),
        client_id: text("clientMsgId"),
        content: text("content"),
        references: References::read(message),
        quote: Quote::read(message),
    }
}

async fn list(scene: &Scene, who: Who) -> Result<Vec<((Who, Place), Listed)>> {
    let mut lines = Vec::new();
    for page in 1.. {
        let path = format!("/conversations?page={page}&size=100");
        let token = &scene.users[who].token();
        let data = scene
            .gate(who)
            .api
            .call(Method::GET, &path, token, None)
            .await?;
        for conversation in data["conversations"].as_array().into_iter().flatten() {
            let id = conversation["id"].as_str().unwrap_or_default();
            let Some(&place) = scene.place_of.get(id) else {
                continue;
            };
            let listed = Listed {
                last_seq: conversation["lastSeqId"].as_u64().unwrap_or(0),
                last_read: conversation["lastReadSeqId"].as_u64().unwrap_or(0),
                unread: conversation["unreadCount"].as_i64().unwrap_or(-1),
                mentions: conversation["unreadMentions"].as_u64().unwrap_or(0),
                hidden: conversation["my"]["hiddenCount"].as_u64().unwrap_or(0),
                cleared: conversation["my"]["clearedUpTo"].as_u64().unwrap_or(0),
            };
            lines.push(((who, place), listed));
        }
        if data["hasMore"] != true {
            break;
        }
    }
    Ok(lines)
}
