//! What messages said before they were edited, where the group keeps it for admins and the owner.

use crate::ids::UnixMillis;

/// Maximum number of former texts of one message; the oldest ones are dropped.
pub const FORMER_TEXTS_MAX: usize = 20;

/// A text that a message no longer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerText {
    /// The edit that made the text; 0 for the text that was sent.
    pub edit_no: u32,
    /// The text.
    pub content: String,
    /// JSON text.
    pub extra: Option<String>,
    /// Time at which the message began to say it.
    pub written_at: UnixMillis,
}

/// Returns the smallest number that stays when these former texts of one message are to be kept:
/// the newest [`FORMER_TEXTS_MAX`] of them, each number counted once. 0 when all of them stay.
///
/// ```
/// use gochat_core::message::oldest_kept;
/// assert_eq!(oldest_kept(0..20), 0);
/// assert_eq!(oldest_kept(0..25), 5);
/// ```
pub fn oldest_kept(numbers: impl IntoIterator<Item = u32>) -> u32 {
    let mut numbers: Vec<u32> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers.dedup();
    match numbers.len().checked_sub(FORMER_TEXTS_MAX) {
        None | Some(0) => 0,
        Some(beyond) => numbers[beyond],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is there: at most the newest twenty stay, and nothing goes that has room. So it
        /// makes no difference in how many batches the texts came.
        #[test]
        fn the_newest_stay(all in prop::collection::vec(0..60_u32, 0..80), cut: prop::sample::Index) {
            let kept = |numbers: &BTreeSet<u32>| {
                let oldest = oldest_kept(numbers.iter().copied());
                numbers.iter().copied().filter(|n| *n >= oldest).collect::<BTreeSet<u32>>()
            };
            let numbers: BTreeSet<u32> = all.iter().copied().collect();
            let newest: BTreeSet<u32> = numbers.iter().rev().take(FORMER_TEXTS_MAX).copied().collect();
            prop_assert_eq!(&kept(&numbers), &newest);
            prop_assert_eq!(oldest_kept(all.iter().copied()), oldest_kept(numbers.iter().copied()));
            let cut = if all.is_empty() { 0 } else { cut.index(all.len()) };
            let first: BTreeSet<u32> = all[..cut].iter().copied().collect();
            let mut both = kept(&first);
            both.extend(&all[cut..]);
            prop_assert_eq!(kept(&both), newest);
        }
    }
}
