//! Guests bring a proof of work where the settings ask for one.

use std::process::Command;

use gochat_client::proof::solve;
use gochat_client::{Client, Credentials};
use gochat_core::proof::{CLOCK_SLACK_MS, Challenge, LIFE_MS, Purpose};
use serde_json::json;

use crate::kit::{Forge, Reply, Server, text};

const BITS: u8 = 10;

async fn server() -> Option<Server> {
    Server::with(&[&format!("logic.admission.guest_proof_bits={BITS}")]).await
}

async fn guest(server: &Server, proof: &str) -> Reply {
    let body = json!({ "proof": proof });
    server.call("POST", "/auth/guest", Some(body)).await
}

async fn challenge(server: &Server) -> String {
    let data = server.call("GET", "/auth/challenge", None).await.data();
    assert_eq!(data["difficulty"], BITS);
    assert!(data["expiresAt"].is_i64());
    text(&data["challenge"])
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

/// A challenge as the server would have made it at another time, under a key of the forger's
/// choice.
fn challenge_of(forge: &Forge, at: u64, bits: u8, nonce: u8) -> String {
    let made = Challenge::new(Purpose::Guest, bits, at, [nonce; 8]).unwrap();
    made.text(|payload| forge.challenges.tag(payload))
}

#[tokio::test]
async fn a_guest_comes_in_by_a_good_proof_once() {
    let Some(server) = server().await else {
        return;
    };
    for missing in [None, Some(json!({})), Some(json!({ "proof": null }))] {
        let refused = server.call("POST", "/auth/guest", missing).await;
        refused.refused(403, "PROOF_REQUIRED");
        assert_eq!(refused.body["details"]["retryable"], false);
    }
    let text = challenge(&server).await;
    let proof = solve(&text).await.unwrap();
    for wrong in [
        text.clone(),
        format!("{text}."),
        format!("{text}.-1"),
        format!("{proof}.1"),
        proof.to_uppercase(),
        format!("00{}", &proof[2..]),
        "x".repeat(10_000),
    ] {
        guest(&server, &wrong).await.refused(403, "PROOF_REQUIRED");
    }
    // Of all counters below the one that was found, none solves the challenge.
    let (_, found) = proof.split_once('.').unwrap();
    if let Some(below) = found.parse::<u64>().unwrap().checked_sub(1) {
        let unsolved = guest(&server, &format!("{text}.{below}")).await;
        unsolved.refused(403, "PROOF_REQUIRED");
    }
    // Wrong answers use nothing up; the good one does.
    guest(&server, &proof).await.data_with(201);
    let replayed = guest(&server, &proof).await;
    replayed.refused(403, "PROOF_REQUIRED");
    assert!(replayed.body["message"].as_str().unwrap().contains("used"));
}

#[tokio::test]
async fn a_challenge_expires_and_belongs_to_its_server() {
    let Some(server) = server().await else {
        return;
    };
    let forge = server.forge().await.unwrap();
    let come = async |text: String| guest(&server, &solve(&text).await.unwrap()).await;
    let now = now_ms();
    let fresh = come(challenge_of(&forge, now, BITS, 1)).await;
    fresh.data_with(201);
    let old = come(challenge_of(&forge, now - LIFE_MS, BITS, 2)).await;
    old.refused(403, "PROOF_REQUIRED");
    assert!(old.body["message"].as_str().unwrap().contains("expired"));
    // A clock that was set back must not make proofs that are remembered without end.
    let ahead = now + CLOCK_SLACK_MS + 60_000;
    let early = come(challenge_of(&forge, ahead, BITS, 3)).await;
    early.refused(403, "PROOF_REQUIRED");
    let easy = Challenge::new(Purpose::Guest, 0, now, [4; 8]).unwrap();
    let foreign = come(easy.text(|_| [7; 32])).await;
    foreign.refused(403, "PROOF_REQUIRED");
}

#[tokio::test]
async fn one_proof_sent_many_times_at_once_makes_one_guest() {
    let Some(server) = server().await else {
        return;
    };
    let proof = solve(&challenge(&server).await).await.unwrap();
    let tries = (0..8).map(|_| guest(&server, &proof));
    let replies = futures_util::future::join_all(tries).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(
        made,
        1,
        "{:?}",
        replies.iter().map(Reply::code).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn without_the_setting_nobody_is_asked() {
    let server = Server::shared().await;
    let data = server.call("GET", "/auth/challenge", None).await.data();
    assert_eq!(data, json!({ "difficulty": 0 }));
    guest(&server, "nonsense").await.data_with(201);
}

#[tokio::test]
async fn the_sdk_solves_by_itself() {
    let Some(server) = server().await else {
        return;
    };
    let connected = Client::connect(server.http().base(), Credentials::guest()).await;
    let (client, _events) = connected.unwrap();
    assert!(client.api().me().await.unwrap().is_guest);
}

/// The search of the chat page, run by Node where that is installed.
#[tokio::test]
async fn the_page_solves_too() {
    let Some(server) = server().await else {
        return;
    };
    let module = include_str!("../../../im-gateway/assets/chat/proof.js");
    let text = challenge(&server).await;
    let script =
        format!("{module}\nprover('{text}', {BITS}, () => true).then(p => console.log(p));");
    let arguments = ["--input-type=module", "-e", &script];
    let Ok(run) = Command::new("node").args(arguments).output() else {
        eprintln!("skipped: Node is not installed");
        return;
    };
    let proof = String::from_utf8(run.stdout).unwrap();
    guest(&server, proof.trim()).await.data_with(201);
}
