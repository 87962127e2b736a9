//! How people reacted to a message.

use crate::error::{Error, ErrorCode, Result};

use super::Emoji;

/// Maximum number of kinds of reactions to one message.
pub const REACTION_KINDS_MAX: usize = 20;

/// Maximum number of reactions of one user to one message.
pub const REACTIONS_PER_USER_MAX: usize = 3;

/// How often each emoji stands under a message, in the order in which each was first used.
///
/// ```
/// use gochat_core::message::{Emoji, Tally};
/// let thumb: Emoji = "👍".parse().unwrap();
/// let mut tally = Tally::default();
/// tally.add(thumb);
/// tally.add(thumb);
/// assert_eq!(tally.to_json(), r#"[["👍",2]]"#);
/// tally.take(thumb);
/// assert_eq!(tally.counts(), [(thumb, 1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(Vec<(Emoji, u32)>);

impl Tally {
    /// Each emoji with its number of users, which is at least 1.
    pub fn counts(&self) -> &[(Emoji, u32)] {
        &self.0
    }

    /// Nobody reacted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of users that reacted with `emoji`.
    pub fn of(&self, emoji: Emoji) -> u32 {
        let found = self.0.iter().find(|(known, _)| *known == emoji);
        found.map_or(0, |(_, count)| *count)
    }

    /// Counts a user more. The caller has judged whether there is room.
    pub fn add(&mut self, emoji: Emoji) {
        match self.0.iter_mut().find(|(known, _)| *known == emoji) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((emoji, 1)),
        }
    }

    /// Counts a user less.
    pub fn take(&mut self, emoji: Emoji) {
        if let Some(at) = self.0.iter().position(|(known, _)| *known == emoji) {
            self.0[at].1 = self.0[at].1.saturating_sub(1);
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    /// The form in which a message's row keeps it; empty text when nobody reacted.
    pub fn to_json(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let counts: Vec<_> = self.0.iter().map(|(e, n)| (e.as_str(), *n)).collect();
        serde_json::to_string(&counts).expect("pairs of text and number always serialise")
    }

    /// Reads that form. What can't be read is left out: nobody can be asked any more.
    pub fn from_json(json: &str) -> Self {
        let counts: Vec<(String, u32)> = serde_json::from_str(json).unwrap_or_default();
        counts.iter().map(|(e, n)| (e.as_str(), *n)).collect()
    }

    /// Judges a reaction of a user who has these `own` ones to the message.
    ///
    /// # Errors
    /// `TOO_MANY_REACTIONS`.
    pub(super) fn judge(&self, emoji: Emoji, own: &[Emoji]) -> Result<()> {
        if own.contains(&emoji) {
            return Ok(());
        }
        if own.len() >= REACTIONS_PER_USER_MAX {
            return Err(Error::new(
                ErrorCode::TooManyReactions,
                "You have three reactions to this message; take one back first.",
            ));
        }
        if self.of(emoji) == 0 && self.0.len() >= REACTION_KINDS_MAX {
            return Err(ErrorCode::TooManyReactions.into());
        }
        Ok(())
    }
}

impl<'a> FromIterator<(&'a str, u32)> for Tally {
    /// Texts that are no emoji and counts of 0 are left out.
    fn from_iter<I: IntoIterator<Item = (&'a str, u32)>>(counts: I) -> Self {
        let known = counts.into_iter().filter(|(_, count)| *count > 0);
        Self(
            known
                .filter_map(|(e, n)| Some((e.parse().ok()?, n)))
                .collect(),
        )
    }
}
