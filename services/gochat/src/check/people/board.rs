//! Pins of a group that tells: one message goes on top and off again.
//!
//! A pin takes the path of messages and is told once it is stored, so its system message comes
//! anywhere among those of commands, but in the order of pins. Under its client id a pin is
//! repeated until it is answered.

use std::time::{Duration, Instant};

use gochat_core::ids::UserId;
use gochat_core::message::SystemMessage;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::PATIENCE;
use super::told::{Said, Tale};
use crate::bench::api::Account;
use crate::check::load::Scene;

/// What the owner of a new group says, to be pinned.
pub(super) const SPOKEN: &str = "to be pinned";
/// How long a request is repeated.
const REPEATED: Duration = Duration::from_secs(120);

/// A message that is pinned and unpinned.
pub(super) struct Board {
    message_id: String,
    seq: u64,
    is_pinned: bool,
    /// Number of changes so far, for client ids.
    made: u64,
}

impl Board {
    /// Has the owner of a group say the message; `None` when that found no answer.
    pub(super) async fn new(scene: &Scene, group: &str, owner: &Account) -> Option<Self> {
        let path = format!("/conversations/{group}/messages");
        let id = format!("{:x}-board-{group}", scene.run);
        let body =
            json!({ "messageType": 1, "content": SPOKEN, "client_msg_id": id, "resend": true });
        let answer = repeat(scene, Method::POST, &path, owner, Some(&body)).await?;
        let message = &answer["data"];
        Some(Self {
            message_id: message["id"].as_str()?.to_owned(),
            seq: message["seqId"].as_u64()?,
            is_pinned: false,
            made: 0,
        })
    }

    /// Pins the message, or takes it off; writes down what is to be told. False when that found no
    /// answer: nothing more is known of the pin.
    pub(super) async fn turn(&mut self, scene: &Scene, by: &Account, tale: &mut Tale) -> bool {
        let method = match self.is_pinned {
            true => Method::DELETE,
            false => Method::PUT,
        };
        self.made += 1;
        let (group, message) = (&tale.group, &self.message_id);
        let id = format!("{:x}-pin{}-{group}", scene.run, self.made);
        let path = format!("/conversations/{group}/pins/{message}?client_msg_id={id}&resend=true");
        let answer = repeat(scene, method, &path, by, None).await;
        let is_done = answer.is_some_and(|answer| answer["data"]["rev"].is_u64());
        if !self.is_pinned
            && let Some(said) = self.told(by)
        {
            match is_done {
                true => tale.pins.push(said),
                false => tale.open_pin = Some(said),
            }
        }
        self.is_pinned = !self.is_pinned;
        is_done
    }

    /// What is told of a pin.
    fn told(&self, by: &Account) -> Option<Said> {
        let by: UserId = by.id.parse().ok()?;
        let pinned = SystemMessage::Pinned {
            message_id: self.message_id.parse().ok()?,
            seq_id: self.seq,
        };
        Some(Said::new(by, &pinned))
    }
}

/// Sends a request until it is answered; `None` when it is refused or time runs out.
async fn repeat(
    scene: &Scene,
    method: Method,
    path: &str,
    by: &Account,
    body: Option<&Value>,
) -> Option<Value> {
    let deadline = Instant::now() + REPEATED;
    for gate in 0.. {
        let (api, token) = (&scene.gate(gate).api, by.token());
        let call = api.once(method.clone(), path, &token, body);
        match timeout(PATIENCE, call).await {
            Ok(Ok((200..=299, answer))) => return Some(answer),
            Ok(Ok((400..=499, answer))) if answer["retryable"] != true => return None,
            _ if Instant::now() > deadline => return None,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    None
}
