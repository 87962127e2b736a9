//! What a plain client deletes for itself.

use hyper::Method;
use rand::Rng as _;

use super::super::changes::Own;
use super::super::deletions::Deletions;
use super::super::observe::Place;
use super::{ASKING, Answer, Client};

/// One of so many deletions clears a conversation.
const CLEARS: u32 = 8;
/// Maximum number of the newest messages that stay when a conversation is cleared.
const LEFT: u64 = 20;

impl Client {
    /// Deletes a message for itself, or rarely all but the newest of a conversation.
    pub(super) fn delete_something(&mut self) {
        if self.asking.len() >= ASKING {
            return;
        }
        match self.random.random_ratio(1, CLEARS) {
            true => self.clear_something(),
            false => self.hide_something(),
        }
    }

    /// What this client deleted of a conversation.
    pub(super) fn deletions(&mut self, place: Place) -> &mut Deletions {
        let of = (self.who, place);
        self.observed.deletions.entry(of).or_default()
    }

    /// The first member sees everything, so that somebody does.
    fn may_delete(&self, place: Place) -> bool {
        self.scene.places[place].1.first() != Some(&self.who)
    }

    fn hide_something(&mut self) {
        let drawn = self.random.random_range(0..usize::MAX);
        let fits = |own: &Own| self.may_delete(own.place);
        let Some(own) = self.pen.choose_any(drawn, fits).cloned() else {
            return;
        };
        let (place, seq) = (own.place, own.seq);
        self.deletions(place).ask(seq);
        let id = &self.scene.places[place].0;
        let path = format!("/conversations/{id}/hidden/{}", own.message_id);
        self.ask_with(
            Method::PUT,
            path,
            None,
            move |status, answer| match status {
                200 if answer["data"]["seqId"] == seq => Answer::Deleted(place, seq, None),
                200 => Answer::Deleted(place, seq, Some("ANOTHER_MESSAGE".to_owned())),
                400..=499 => Answer::Deleted(place, seq, Some(code(&answer))),
                _ => Answer::Nothing,
            },
        );
    }

    fn clear_something(&mut self) {
        let place = self.places[self.random.random_range(0..self.places.len())];
        let left = self.random.random_range(1..=LEFT);
        let seen = self.seen.get(&place).copied().unwrap_or(0);
        let up_to = seen.saturating_sub(left);
        if up_to == 0 || !self.may_delete(place) {
            return;
        }
        let deletions = self.deletions(place);
        let known = deletions.known();
        deletions.ask_clear(up_to);
        let id = &self.scene.places[place].0;
        let path = format!("/conversations/{id}/history?up_to_seq={up_to}");
        self.ask_with(Method::DELETE, path, None, move |status, answer| {
            let bound = answer["data"]["clearedUpTo"].as_u64().unwrap_or(0);
            match status {
                200 => Answer::Cleared(place, up_to, known, Ok(bound)),
                400..=499 => Answer::Cleared(place, up_to, known, Err(code(&answer))),
                _ => Answer::Nothing,
            }
        });
    }
}

fn code(answer: &serde_json::Value) -> String {
    answer["code"].as_str().unwrap_or_default().to_owned()
}
