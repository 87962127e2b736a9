//! The changes that a plain client makes and hears of.

use std::time::Instant;

use gochat_core::message::ChangeKind;
use gochat_core::session::frame::{ChangeMessage, ClientFrame, ErrorFrame};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng as _;
use serde_json::json;

use super::super::changes::{ChangeAck, Held, Own, Pending, RECALL_WITHIN, Told, Wish};
use super::super::deletions::Deletions;
use super::super::observe::Place;
use super::super::socket::Socket;
use super::{ASKING, Answer, Client, Ordering};

/// Some of them take more than a word, and one user has room for three.
const EMOJI: [&str; 5] = ["👍", "🎉", "\u{2764}\u{FE0F}", "👩🏽\u{200D}🚀", "🇩🇪"];

impl Client {
    /// Edits one of the last own messages or takes it back, reacts to any, or pins one of a single
    /// chat.
    pub(super) async fn change(&mut self, socket: &mut Socket) -> std::io::Result<()> {
        let Some((own, kind)) = self.wish() else {
            return Ok(());
        };
        self.made += 1;
        let id = format!("{:x}-{}-{}c", self.scene.run, self.who, self.made);
        let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
        let wish = Wish {
            who: self.who,
            place: own.place,
            message_id: own.message_id,
            seq: own.seq,
            kind,
            content: match kind {
                ChangeKind::Edit => format!("{} corrects as number {} ü", self.who, self.made),
                ChangeKind::React | ChangeKind::Unreact => emoji.to_owned(),
                ChangeKind::Recall | ChangeKind::Pin | ChangeKind::Unpin => String::new(),
            },
        };
        let sent = Instant::now();
        self.observed
            .changes
            .wishes
            .insert(id.clone(), wish.clone());
        self.pen.waiting.insert(id.clone(), Pending { wish, sent });
        self.send_change(&id, false, socket).await
    }

    /// What to do to which message.
    fn wish(&mut self) -> Option<(Own, ChangeKind)> {
        let drawn = self.random.random_range(0..usize::MAX);
        let (first, second) = (
            self.random.random_range(0..100),
            self.random.random_range(0..100),
        );
        match first {
            0..45 => {
                let own = self.pen.choose(drawn)?.clone();
                let is_recall = second < 15 && own.at.elapsed() < RECALL_WITHIN;
                let kind = if is_recall {
                    ChangeKind::Recall
                } else {
                    ChangeKind::Edit
                };
                Some((own, kind))
            }
            45..88 => {
                let any = self.pen.choose_any(drawn, |_| true)?.clone();
                let kind = if second < 30 {
                    ChangeKind::Unreact
                } else {
                    ChangeKind::React
                };
                Some((any, kind))
            }
            _ => {
                let is_single = |own: &Own| self.scene.places[own.place].0.starts_with("s_");
                let any = self.pen.choose_any(drawn, is_single)?.clone();
                let kind = if second < 40 {
                    ChangeKind::Unpin
                } else {
                    ChangeKind::Pin
                };
                Some((any, kind))
            }
        }
    }

    /// Sends a change, mostly by the socket, sometimes by HTTP.
    pub(super) async fn send_change(
        &mut self,
        id: &str,
        resend: bool,
        socket: &mut Socket,
    ) -> std::io::Result<()> {
        let by_http = self.random.random_range(0..4) == 0 && self.asking.len() < ASKING;
        self.observed.resent += u64::from(resend);
        let Some(pending) = self.pen.waiting.get_mut(id) else {
            return Ok(());
        };
        pending.sent = Instant::now();
        let wish = pending.wish.clone();
        if by_http {
            self.ask_change(id, wish, resend);
            return Ok(());
        }
        let place = self.scene.places[wish.place].0.parse();
        let (Ok(conversation_id), Ok(message_id)) = (place, wish.message_id.parse()) else {
            return Ok(());
        };
        let mut out = Vec::new();
        ClientFrame::Change(ChangeMessage {
            conversation_id,
            message_id,
            kind: wish.kind,
            content: wish.content.into(),
            extra: None,
            client_msg_id: Some(id.into()),
            resend,
        })
        .encode(&mut out);
        socket.send(&out).await
    }

    fn ask_change(&mut self, id: &str, wish: Wish, resend: bool) {
        let place = &self.scene.places[wish.place].0;
        let (place, message) = (format!("/conversations/{place}"), &wish.message_id);
        let path = match wish.kind {
            ChangeKind::Edit | ChangeKind::Recall => format!("{place}/messages/{message}"),
            ChangeKind::React | ChangeKind::Unreact => {
                let emoji = utf8_percent_encode(&wish.content, NON_ALPHANUMERIC);
                format!("{place}/messages/{message}/reactions/{emoji}")
            }
            ChangeKind::Pin | ChangeKind::Unpin => format!("{place}/pins/{message}"),
        };
        let method = match wish.kind {
            ChangeKind::Edit | ChangeKind::React | ChangeKind::Pin => Method::PUT,
            ChangeKind::Recall | ChangeKind::Unreact | ChangeKind::Unpin => Method::DELETE,
        };
        let is_edit = wish.kind == ChangeKind::Edit;
        let edit = json!({ "content": wish.content, "client_msg_id": id, "resend": resend });
        let (path, body) = match is_edit {
            true => (path, Some(edit)),
            false => (format!("{path}?client_msg_id={id}&resend={resend}"), None),
        };
        let client_id = id.to_owned();
        self.ask_with(method, path, body, move |status, answer| {
            let data = &answer["data"];
            match (status, data["rev"].as_u64(), answer["code"].as_str()) {
                // An edit is answered with the message as it is now, which may be of a later
                // change: only the socket tells which number this one got.
                (200, Some(rev), _) if !is_edit => Answer::Changed {
                    client_id,
                    seq: data["seqId"].as_u64().unwrap_or(0),
                    rev,
                },
                (400..=428, _, code) => Answer::NotChanged {
                    client_id,
                    code: code.unwrap_or_default().to_owned(),
                },
                _ => Answer::Nothing,
            }
        });
    }

    /// Asks for what it may have missed.
    pub(super) fn catch_up(&mut self) {
        if self.asking.len() >= ASKING {
            return;
        }
        let place = self.places[self.random.random_range(0..self.places.len())];
        let of = (self.who, place);
        let after = self.observed.replicas.entry(of).or_default().complete;
        let deletions = self.observed.deletions.get(&of);
        let known = deletions.map(Deletions::known).unwrap_or_default();
        let id = &self.scene.places[place].0;
        let path = format!("/conversations/{id}/changes?after_rev={after}&limit=200");
        self.ask_with(
            Method::GET,
            path,
            None,
            move |status, mut answer| match status {
                200 => Answer::CaughtUp(place, answer["data"].take(), known),
                _ => Answer::Nothing,
            },
        );
    }

    /// Notes a message as it was sent.
    pub(super) fn hold(&mut self, place: Place, seq: u64, rev: u64, content: &str) {
        let replica = self.observed.replicas.entry((self.who, place));
        let replica = replica.or_default();
        if !replica.messages.contains_key(&seq) {
            replica.apply(seq, Held::new(rev, content));
        }
    }

    /// Notes a change as it was told.
    pub(super) fn hold_change(&mut self, place: Place, told: &Told) {
        let replica = self.observed.replicas.entry((self.who, place));
        replica.or_default().patch(told);
    }

    /// A refusal by the socket. Messages are sent again until they are accepted; a change may be
    /// refused for good.
    pub(super) fn refused(&mut self, error: &ErrorFrame<'_>) {
        if let Some(id) = &error.details.client_msg_id
            && !error.details.retryable
            && self.pen.waiting.contains_key(&**id)
        {
            self.refuse_change(id.to_string(), error.code.to_string());
        }
    }

    pub(super) fn refuse_change(&mut self, id: String, code: String) {
        if self.pen.waiting.remove(&id).is_some() {
            self.observed.changes.refused.insert(id, code);
        }
    }

    pub(super) fn acknowledge_change(&mut self, id: &str, seq: u64, rev: u64) {
        if self.pen.waiting.remove(id).is_some() {
            self.control.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        let Some(wish) = self.observed.changes.wishes.get(id).cloned() else {
            return;
        };
        // How many reacted is not in the answer.
        if !wish.kind.is_reaction() {
            let told = Told {
                seq,
                rev,
                message_id: wish.message_id.clone(),
                kind: wish.kind.name().to_owned(),
                content: wish.content.clone(),
                reactions: Default::default(),
            };
            self.hold_change(wish.place, &told);
        }
        self.observed.changes.acks.push(ChangeAck {
            place: wish.place,
            client_id: id.to_owned(),
            message_id: wish.message_id,
            seq,
            rev,
        });
    }
}
